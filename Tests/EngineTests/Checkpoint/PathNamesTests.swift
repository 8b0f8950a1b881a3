import Foundation
import Testing

@testable import Engine

@Suite struct PathNamesTests {
  /// As dirname, basename and os.path.splitext of Python have it.
  @Test func partsAreThoseOfPOSIX() {
    for (path, parent, name, ending, rest) in [
      ("q", ".", "q", "", "q"), ("", ".", "", "", ""), ("/", "/", "/", "", "/"), ("a/b.gz", "a", "b.gz", "gz", "b"),
      ("/x", "/", "x", "", "x"), ("a//b/", "a", "b", "", "b"), (".hidden", ".", ".hidden", "", ".hidden"),
      ("a.b.npz", ".", "a.b.npz", "npz", "a.b"), ("é", ".", "é", "", "é"), ("~", ".", "~", "", "~"),
      ("x.", ".", "x.", "", "x"), ("../m", "..", "m", "", "m"),
    ] {
      #expect(parentFolder(of: path) == parent, "\(path)")
      #expect(lastName(of: path) == name, "\(path)")
      #expect(fileExtension(of: path) == ending, "\(path)")
      #expect(stem(of: path) == rest, "\(path)")
    }
    #expect(expandingHome("~/a").hasSuffix("/a") && !expandingHome("~/a").hasPrefix("~") && expandingHome("b") == "b")
  }
}
