import CKernels
import Foundation
import Testing

private let objdump = "/usr/bin/objdump"

private var canLook: Bool {
  #if arch(x86_64) && os(Linux)
    return FileManager.default.isExecutableFile(atPath: objdump)
  #else
    return false
  #endif
}

/// What the compiler made of the hot loops: 512-bit instructions, and sums that stay in registers. Compilers have split
/// vectors in two, and spilt sums, without a word.
@Suite(.enabled(if: canLook, "needs objdump and an x86-64 build")) struct InstructionTests {
  private func instructions(of function: String) throws -> [String] {
    let process = Process(), pipe = Pipe()
    process.executableURL = URL(fileURLWithPath: objdump)
    let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.arguments = ["-d", "--no-show-raw-insn", "--disassemble=\(function)", program]
    process.standardOutput = pipe
    try process.run()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return text.split(separator: "\n").map(String.init).filter { $0.contains("\t") }
  }

  @Test(arguments: [
    ("f32_14", "vfmadd", 28), ("bf16_14", "vdpbf16ps", 28), ("wide_14", "vfmadd", 56), ("scores_12", "vfmadd", 24),
    ("values_12", "vfmadd", 24), ("q4_0_6", "vpdpbusd", 96), ("q4_1_6", "vpdpbusd", 96), ("q8_0_6", "vpdpbusd", 96),
  ])
  func tilesKeepTheirSumsInWideRegisters(function: String, instruction: String, count: Int) throws {
    let lines = try instructions(of: function)
    let wide = lines.filter { $0.contains(instruction) && $0.contains("%zmm") }
    #expect(wide.count >= count, "\(function) has \(wide.count) \(instruction) of 512 bits in \(lines.count) lines")
    let spilt = lines.filter { $0.contains("%zmm") && $0.contains("(%rsp)") && $0.contains("vmov") }
    #expect(spilt.count <= 8, "\(function) moves sums to the stack: \(spilt.prefix(3))")
  }

  @Test func vectorExtensionsAreNotSplit() throws {
    let lines = try instructions(of: "multiply_512")
    #expect(lines.contains { $0.contains("vfmadd") && $0.contains("%zmm") })
    #expect(!lines.contains { $0.contains("vfmadd") && $0.contains("%ymm") })
  }
}
