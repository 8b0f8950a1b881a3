import CEdit
import Foundation

cedit_set_locale()
CancelSignals.unblock()
let words = Array(CommandLine.arguments.dropFirst())
exit(Acthost.handles(words) ? Acthost.execute(words) : ScriptRunner.run(CommandLine.arguments))
