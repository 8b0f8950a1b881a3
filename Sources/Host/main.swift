import CEdit
import Foundation

cedit_set_locale()
CancelSignals.unblock()
let words = CommandLine.arguments
exit(Acthost.handles(Array(words.dropFirst())) ? Acthost.execute(Array(words.dropFirst())) : 0)
