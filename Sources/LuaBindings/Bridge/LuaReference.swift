import CShim
import Foundation

/// A Lua value that Swift holds: a result shown at the prompt, a thrown value. It pins what it refers to, so objects
/// never keep one (see `LuaFunctionKey`).
public final class LuaReference: @unchecked Sendable {
  private let queue: ReferenceQueue
  let key: Int

  init(queue: ReferenceQueue, key: Int) {
    self.queue = queue
    self.key = key
  }

  /// Runs anywhere, the collector included, so it only leaves a note for the state.
  deinit { queue.release(key) }

  /// Pushes the value; false when its state is closed or another one.
  func push(on stack: LuaStack) -> Bool {
    guard stack.state.references === queue else { return false }
    act_pushtype(stack.pointer, queue.tableKey)
    lua_rawgeti(stack.pointer, -1, lua_Integer(key))
    lua_rotate(stack.pointer, -2, 1)
    lua_settop(stack.pointer, -2)
    return true
  }
}

/// Keys of the table that holds referenced values, and those to be dropped at the next opportunity.
final class ReferenceQueue: @unchecked Sendable {
  private let lock = NSLock()
  private var released: [Int] = []
  private var free: [Int] = []
  private var last = 0

  /// Where the registry has the table.
  var tableKey: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

  func release(_ key: Int) { lock.withLock { released.append(key) } }

  func take() -> Int {
    lock.withLock {
      if let key = free.popLast() { return key }
      last += 1
      return last
    }
  }

  func drain() -> [Int] {
    lock.withLock {
      defer { released.removeAll() }
      free += released
      return released
    }
  }

  /// References alive.
  var count: Int { lock.withLock { last - free.count - released.count } }
}

extension LuaState {
  /// A reference to the value at `index`.
  func reference(copying index: Int32, on stack: LuaStack) -> LuaReference {
    let pointer = stack.pointer
    lua_checkstack(pointer, 8)
    let index = lua_absindex(pointer, index)
    act_pushtype(pointer, references.tableKey)
    for key in references.drain() {
      lua_pushnil(pointer)
      lua_rawseti(pointer, -2, lua_Integer(key))
    }
    let key = references.take()
    lua_pushvalue(pointer, index)
    lua_rawseti(pointer, -2, lua_Integer(key))
    stack.pop()
    return LuaReference(queue: references, key: key)
  }
}
