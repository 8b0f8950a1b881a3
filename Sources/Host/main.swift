import CEdit
import Foundation
import LuaBindings

reserveStandardStreams()
cedit_set_locale()
CancelSignals.unblock()
let words = Array(CommandLine.arguments.dropFirst())
exit(exitCode(Acthost.handles(words) ? Acthost.execute(words) : ScriptRunner.run(CommandLine.arguments)))
