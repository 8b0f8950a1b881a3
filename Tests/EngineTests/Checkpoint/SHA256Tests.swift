import CKernels
import Foundation
import Testing

@testable import Engine

@Suite struct SHA256Tests {
  /// Examples of FIPS 180-4 (NIST's "SHA-256 examples" and the million letters a).
  @Test func publishedDigests() {
    #expect(SHA256.hex(of: []) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(SHA256.hex(of: Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    let two = Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)
    #expect(SHA256.hex(of: two) == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    let million = Array(repeating: UInt8(ascii: "a"), count: 1_000_000)
    #expect(SHA256.hex(of: million) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
  }

  @Test func theFastBlocksEqualThePlainOnes() {
    var random = SeededRandom(state: 1)
    let bytes = (0..<64 * 50).map { _ in UInt8.random(in: 0...255, using: &random) }
    var one = (0..<8).map { _ in UInt32.random(in: 0 ... .max, using: &random) }
    var other = one
    ck_sha256_blocks(&one, bytes, 50)
    ck_sha256_blocks_plain(&other, bytes, 50)
    #expect(one == other)
  }

  @Test func piecesGiveTheWhole() {
    let bytes = (0..<300).map { UInt8($0 & 255) }
    let whole = SHA256.hex(of: bytes)
    for cut in [0, 1, 55, 56, 63, 64, 65, 127, 128, 200, 300] {
      var hash = SHA256()
      hash.add(Array(bytes[..<cut]))
      hash.add(Array(bytes[cut...]))
      #expect(hash.finish() == whole)
    }
  }

  /// Digest of the joined file as its packager publishes it.
  @Test func aPackagedModelHasItsDigest() throws {
    guard let path = Files.model("gemma-3-270m") else { return }
    var last = (done: 0, total: 0)
    let start = ContinuousClock.now
    let hex = try SHA256.hex(ofFile: path) { last = ($0, $1) }
    print("SHA-256 of \(byteText(last.total)) in \(ContinuousClock.now - start)")
    #expect(hex == "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818")
    #expect(last.done == last.total && last.total > 200_000_000)
  }

  @Test func fingerprintsTellFilesApart() throws {
    try Files.withFolder { folder in
      var bytes = Data(count: 3_000_000)
      func fingerprint() throws -> String {
        try bytes.write(to: URL(fileURLWithPath: "\(folder)/x"))
        return try Fingerprint.ofFile("\(folder)/x")
      }
      let first = try fingerprint()
      #expect(try fingerprint() == first && first.count == 64)
      bytes[2_999_999] = 1  // the last sample ends with the file
      let second = try fingerprint()
      bytes[10] = 1
      let third = try fingerprint()
      bytes.append(0)
      let fourth = try fingerprint()
      #expect(Set([first, second, third, fourth]).count == 4)
    }
    #expect(throws: EngineError.self) { try Fingerprint.ofModel("/no/such/model") }
  }
}
