import CKernels
import Foundation

/// A file mapped read-only into memory. Pages are read when touched, so opening a large file costs nothing.
///
/// Replacing the file by renaming, as the store does, leaves the mapping as it was. A file that is changed in place, or
/// shortened, is found by `verify`: pages that are gone read as zeros, instead of ending the program by SIGBUS.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  /// The whole file. Valid while this object lives.
  public let bytes: UnsafeRawBufferPointer
  private let descriptor: Int32
  private let size: Int
  private let modified: timespec
  private let guardSlot: Int32

  /// Throws `.missing` where there is no such file and `.file` where it cannot be read, is not a regular file, or only
  /// stands for a file that git-lfs keeps elsewhere.
  public init(path: String) throws {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let reason = String(cString: strerror(errno))
      throw EngineError(errno == ENOENT ? .missing : .file, "cannot open \(path): \(reason)")
    }
    var isKept = false
    defer { if !isKept { close(descriptor) } }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw EngineError(.file, "cannot read the size of \(path): \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "not a regular file"
      throw EngineError(.file, "cannot open \(path): it is \(kind)")
    }
    self.descriptor = descriptor
    size = Int(status.st_size)
    FileReads.note(path)
    modified = status.st_mtim
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      guardSlot = -1
      isKept = true
      return
    }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw EngineError(.file, "cannot map \(path) (\(byteText(size))): \(String(cString: strerror(errno)))")
    }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
    guardSlot = ck_guard_add(address, size)
    isKept = true
    try refusePointer()
  }

  /// Lets the system take the file's pages back; those that are read again come from its cache.
  func releasePages() {
    if let base = bytes.baseAddress { madvise(UnsafeMutableRawPointer(mutating: base), bytes.count, MADV_DONTNEED) }
  }

  deinit {
    ck_guard_remove(guardSlot)
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    close(descriptor)
  }

  /// Throws `.file` where the file was written to or shortened since it was opened: what was read from it may be a
  /// mixture. Costs a system call.
  public func verify() throws {
    var status = stat()
    let isSame =
      fstat(descriptor, &status) == 0 && Int(status.st_size) == size && status.st_mtim.tv_sec == modified.tv_sec
      && status.st_mtim.tv_nsec == modified.tv_nsec && !ck_guard_is_damaged(guardSlot)
    guard !isSame else { return }
    let now = Int(status.st_size)
    let what =
      now == size
      ? "it was written to" : now < size ? "it was cut from \(size) to \(now) bytes" : "it grew to \(now) bytes"
    throw EngineError(
      .file,
      "\(path) changed since it was opened (\(what)): what is in memory is a mixture of two files. Load it again, and "
        + "replace files in use by renaming (mv), not by copying over them (cp)")
  }

  /// A repository cloned without git-lfs has small texts in place of its large files.
  private func refusePointer() throws {
    let mark = "version https://git-lfs.github.com/spec/"
    guard size <= 1024, bytes.starts(with: mark.utf8) else { return }
    let text = String(decoding: bytes, as: UTF8.self)
    let size = text.split(separator: "\n").first { $0.hasPrefix("size ") }.flatMap { Int($0.dropFirst(5)) }
    throw EngineError(
      .file,
      "\(path) is only a git-lfs pointer to the file\(size.map { " of \(byteText($0))" } ?? ""), which was not fetched: "
        + "run `git -C '\(parentFolder(of: path))' lfs pull --include='\(lastName(of: path))'`")
  }
}
