// swift-tools-version:6.2
import PackageDescription

/// Numerical Swift stays optimised in debug builds, so that tests on real models are quick.
let optimised: [SwiftSetting] = [.unsafeFlags(["-O"], .when(configuration: .debug))]

/// Clang cuts 64-byte vectors in two for AVX-512 unless told otherwise.
#if arch(x86_64)
  let wideVectors = ["-mprefer-vector-width=512"]
#else
  let wideVectors: [String] = []
#endif
let kernelFlags: [CSetting] = [
  .unsafeFlags(["-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"] + wideVectors)
]

let package = Package(
  name: "acthost",
  products: [.executable(name: "acthost", targets: ["Host"])],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
  ],
  targets: [
    // Engine: tensors, checkpoints, tokenizers, models, hooks, generation.
    .target(name: "CKernels", path: "Sources/Engine/CKernels", cSettings: kernelFlags),
    .systemLibrary(
      name: "COpenBLAS", path: "Sources/Engine/COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]
    ),
    .systemLibrary(
      name: "CPCRE2", path: "Sources/Engine/CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
    .target(
      name: "Engine",
      dependencies: [
        "CKernels", "COpenBLAS", "CPCRE2",
        .product(name: "HeapModule", package: "swift-collections"),
        .product(name: "OrderedCollections", package: "swift-collections"),
      ],
      path: "Sources/Engine", exclude: ["CKernels", "COpenBLAS", "CPCRE2"], swiftSettings: optimised),

    // Transfer: steering vectors, mappers, evaluation, experiments.
    .target(
      name: "Transfer", dependencies: ["Engine", .product(name: "OrderedCollections", package: "swift-collections")],
      path: "Sources/Transfer", swiftSettings: optimised),

    // LuaBindings: Lua values, modules, errors, interruption.
    .systemLibrary(
      name: "CLua", path: "Sources/LuaBindings/CLua", pkgConfig: "lua5.4", providers: [.apt(["liblua5.4-dev"])]),
    .target(name: "CShim", dependencies: ["CLua", "CKernels"], path: "Sources/LuaBindings/CShim"),
    .target(
      name: "LuaBindings",
      dependencies: [
        "Engine", "Transfer", "CKernels", "CLua", "CShim",
        .product(name: "OrderedCollections", package: "swift-collections"),
      ],
      path: "Sources/LuaBindings",
      exclude: ["CLua", "CShim"]),

    // Host: command line, prompt, display.
    .target(name: "CEdit", path: "Sources/Host/CEdit", linkerSettings: [.linkedLibrary("edit")]),
    .executableTarget(
      name: "Host",
      dependencies: [
        "LuaBindings", "CEdit", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/Host", exclude: ["CEdit"]),

    .executableTarget(name: "acthost-bench", dependencies: ["Engine", "CKernels"], path: "Benchmarks"),

    .testTarget(
      name: "EngineTests", dependencies: ["Engine", "CKernels"], exclude: ["Goldens"], swiftSettings: optimised),
    .testTarget(name: "TransferTests", dependencies: ["Transfer"], swiftSettings: optimised),
    .testTarget(name: "LuaBindingsTests", dependencies: ["LuaBindings", "CShim"]),
    .testTarget(name: "HostTests", dependencies: ["Host"]),
  ],
  swiftLanguageModes: [.v6]
)
