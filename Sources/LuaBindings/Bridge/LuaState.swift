import CShim
import Engine
import Foundation

/// One Lua world: its heap with a limit, its modules, its output. Used from one thread.
///
/// ```swift
/// let state = try LuaState(output: output)
/// defer { state.close() }
/// try state.execute(file: "sweep.lua", arguments: ["--n", "32"])
/// ```
public final class LuaState {
  public let output: any Output
  /// Help, completion and the reference page, from the registration rows.
  public let help: HelpIndex
  public let modules: [Module]
  let references = ReferenceQueue()
  /// What sweeps of this state follow from.
  let experiments = ExperimentRecord()
  private(set) var main: OpaquePointer?
  /// The thread whose Swift function runs now, else the main one.
  var current: OpaquePointer?
  private var functions: [BoundFunction] = []
  private var typeBoxes: [ObjectIdentifier: TypeBox] = [:]
  private var lastFunctionKey = 0
  var tensorLimit: TensorSoftLimit
  /// Where draws without a seed of their own come from; `tensor.seed` starts it again.
  var random = RandomGenerator(seed: 0)
  /// The number at which it was started.
  var randomSeed = 0

  /// Opens Lua with its libraries and `modules`. `memoryLimit` in bytes bounds Lua's own heap (default a quarter of the
  /// machine's memory, at most 4 GiB).
  public init(
    output: any Output = PlainOutput(), memoryLimit: Int? = nil, modules: [Module] = Module.standard
  ) throws {
    self.output = output
    self.modules = modules
    help = HelpIndex(modules: modules)
    let memory = Int(clamping: ProcessInfo.processInfo.physicalMemory)
    tensorLimit = TensorSoftLimit(memory: memory)
    let limit = memoryLimit ?? min(memory / 4, 4 << 30)
    let callbacks = act_callbacks(
      call: callSwift, release: releaseObject, warn: writeWarning, collected: afterCollection)
    guard let pointer = act_newstate(callbacks, Unmanaged.passUnretained(self).toOpaque(), limit) else {
      throw EngineError(.memory, "no memory for a Lua state")
    }
    main = pointer
    current = pointer
    guard act_openlibs(pointer) == LUA_OK else {
      act_close(pointer)
      main = nil
      throw EngineError(.memory, "Lua's libraries do not open")
    }
    lua_createtable(pointer, 0, 0)
    lua_rawsetp(pointer, LuaRegistry.index, references.tableKey)
    for module in modules { install(module) }
    guard act_remember_host(pointer) == LUA_OK else {
      close()
      throw EngineError(.memory, "no memory for a Lua state")
    }
  }

  deinit { close() }

  /// Runs the finalisers of all objects and frees Lua. Twice is fine.
  public func close() {
    guard let pointer = main else { return }
    main = nil
    act_close(pointer)
    current = nil
    functions.removeAll()
    typeBoxes.removeAll()
  }

  /// Bytes of Lua's own heap.
  public var heapBytes: Int { main.map { act_bytes($0) } ?? 0 }

  /// The limit of Lua's own heap in bytes.
  public var heapLimit: Int {
    get { main.map { act_limit($0) } ?? 0 }
    set { if let main { act_set_limit(main, max(0, newValue)) } }
  }

  /// Collects all garbage now.
  public func collectGarbage() {
    if let main { act_collect(main) }
  }

  var mainStack: LuaStack? { main.map { LuaStack(pointer: $0, state: self) } }
  var currentStack: LuaStack? { current.map { LuaStack(pointer: $0, state: self) } }

  func nextFunctionKey() -> Int {
    lastFunctionKey += 1
    return lastFunctionKey
  }

  // MARK: Binding

  /// Keeps a row for as long as the state lives.
  func bind(_ row: Function, name: String, offset: Int) -> BoundFunction {
    let bound = BoundFunction(row: row, qualifiedName: name, offset: offset, state: self)
    functions.append(bound)
    return bound
  }

  func typeBox(for type: any LuaObject.Type) -> TypeBox {
    if let box = typeBoxes[ObjectIdentifier(type)] { return box }
    let box = TypeBox(type.luaType)
    typeBoxes[ObjectIdentifier(type)] = box
    install(box)
    return box
  }

  // MARK: Tensors

  /// After a collection.
  fileprivate func adjustTensorLimit() { tensorLimit.adjust(live: TensorMemory.live, heap: heapBytes) }

  /// Called when an object was handed to Lua: asks for a collection when tensors hold more than the soft limit.
  func accountForTensors() {
    if let main, TensorMemory.live > tensorLimit.bytes { act_request_collect(main) }
  }
}

/// A type bound into one state; its address is the type's key in Lua.
final class TypeBox {
  let type: ObjectType
  init(_ type: ObjectType) { self.type = type }
  var pointer: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }
}

/// torch7's rule for memory that Lua's collector cannot see: a full collection when tensors hold more than the limit;
/// the limit grows by 1.4 when more than 80 % of it are still in use afterwards. It starts low, so that loops use the
/// same memory again while it is in cache, and grows with Lua's own heap, whose size is what a collection costs.
struct TensorSoftLimit {
  var bytes: Int

  init(memory: Int) { bytes = min(64 << 20, memory / 8) }

  mutating func adjust(live: Int, heap: Int) {
    bytes = max(bytes, min(512 << 20, 4 * heap))
    while live > bytes / 5 * 4, bytes < Int.max / 2 { bytes += bytes / 5 * 2 + 1 }
  }
}

enum LuaRegistry {
  /// The macro `LUA_REGISTRYINDEX`, which Swift does not import.
  static let index = -1_000_000 - 1000 as Int32
  /// Key of the lists that `data.split` has made.
  nonisolated(unsafe) static let splits = UnsafeMutableRawPointer.allocate(byteCount: 1, alignment: 1)
}

// MARK: Callbacks from C

/// Runs a Swift function for the trampoline. Nothing is thrown past it.
private let callSwift: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { pointer, context in
  guard let pointer, let context else { return Int32(ACT_ERROR) }
  let function = Unmanaged<BoundFunction>.fromOpaque(context).takeUnretainedValue()
  let state = function.state
  let stack = LuaStack(pointer: pointer, state: state)
  let outer = state.current
  state.current = pointer
  defer { state.current = outer }
  let isRetry = act_take_retry(pointer)
  do {
    let call = Call(stack: stack, function: function)
    if let limit = function.argumentLimit { try call.limitArguments(limit) }
    return Int32(try function.row.body(call))
  } catch let error as EngineError where error.kind == .memory && function.row.retries && !isRetry {
    return Int32(ACT_RETRY)
  } catch {
    stack.push(error: error)
    return Int32(ACT_ERROR)
  }
}

private let releaseObject: @convention(c) (UnsafeMutableRawPointer?) -> Void = { object in
  if let object { Unmanaged<AnyObject>.fromOpaque(object).release() }
}

private let writeWarning: @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>?, Int) -> Void = {
  owner, text, count in
  guard let owner, let text else { return }
  let state = Unmanaged<LuaState>.fromOpaque(owner).takeUnretainedValue()
  let bytes = text.withMemoryRebound(to: UInt8.self, capacity: count) { UnsafeBufferPointer(start: $0, count: count) }
  state.output.note("warning: " + String(decoding: bytes, as: UTF8.self))
}

private let afterCollection: @convention(c) (UnsafeMutableRawPointer?) -> Void = { owner in
  guard let owner else { return }
  Unmanaged<LuaState>.fromOpaque(owner).takeUnretainedValue().adjustTensorLimit()
}
