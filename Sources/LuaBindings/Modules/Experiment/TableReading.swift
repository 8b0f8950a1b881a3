import CShim
import Engine

extension ArgumentReader {
  /// What a label shows: strings as they are, numbers as Lua writes them.
  var caption: String { isString ? ((try? string()) ?? "") : stack.number(at: index) }

  var cell: DataTable.Cell {
    if isNil { return .empty }
    if isBoolean { return .boolean((try? boolean()) ?? false) }
    if isNumber {
      if let value = try? integer() { return .integer(value) }
      return .number((try? number(finite: false)) ?? .nan)
    }
    if isString { return .text((try? string()) ?? "") }
    if isTable, let list = try? list({ $0.isNumber || $0.isString ? $0.caption : "..." }), !list.isEmpty {
      return .text("{" + list.prefix(6).joined(separator: ", ") + (list.count > 6 ? ", ..." : "") + "}")
    }
    if isTable { return .text(stack.state.describe(at: index, on: stack, width: 10_000)) }
    return .text(stack.anyObject(at: index)?.summary ?? stack.found(at: index))
  }

  /// Integer keys that stand outside the list part, sorted: `[0]`, or those after a gap.
  func looseKeys(limit: Int = 100_000) throws -> [Int] {
    let top = stack.top, listed = listCount
    guard lua_checkstack(stack.pointer, 16) != 0, act_keys(stack.pointer, index, Int32(limit)) == LUA_OK else {
      throw error("cannot be read")
    }
    defer { lua_settop(stack.pointer, top) }
    let count = min(limit, Int(lua_tointegerx(stack.pointer, -1, nil))), keys = lua_absindex(stack.pointer, -2)
    var found: [Int] = []
    for place in 0..<count {
      lua_rawgeti(stack.pointer, keys, lua_Integer(place + 1))
      defer { stack.pop() }
      guard lua_isinteger(stack.pointer, -1) != 0 else { continue }
      let key = Int(lua_tointegerx(stack.pointer, -1, nil))
      if !(1...max(1, listed)).contains(key) || listed == 0 { found.append(key) }
    }
    return found.sorted()
  }

  /// Rows as a table. A list of tables has a column for every key, names sorted, then list entries by number; a list of
  /// values has the column `value`. A table that is no list has its keys in the first column. `columns` are checked
  /// against what there is.
  func dataTable(columns: [String]?) throws -> DataTable {
    guard isTable else { throw mismatch("a list of rows") }
    let keys = try rowKeys()
    let hasKeys = keys.contains { if case .place = $0 { false } else { true } }
    var names = Set<String>(), places = Set<Int>(), hasValues = false, hasRows = false
    for key in keys {
      let row = try value(key)
      defer { stack.pop() }
      guard row.isTable else {
        hasValues = true
        continue
      }
      hasRows = true
      names.formUnion(try row.fieldNames(limit: 1000, allowList: true))
      places.formUnion(1..<(row.listCount + 1))
      places.formUnion(try row.looseKeys())
    }
    guard !(hasValues && hasRows) else { throw error("rows and single values cannot be in one table") }
    var all = (hasKeys ? ["key"] : []) + names.subtracting(hasKeys ? ["key"] : []).sorted()
    all += hasValues ? ["value"] : places.sorted().map(String.init)
    if let columns, !keys.isEmpty {
      for column in columns where !all.contains(column) {
        let near = suggestion(for: column, in: all)
        throw error(
          "there is no column '\(column)'\(near.isEmpty ? "; there are \(all.joined(separator: ", "))" : near)")
      }
    }
    let shown = columns ?? all
    let rows = try keys.map { key -> [DataTable.Cell] in
      let row = try value(key)
      defer { stack.pop() }
      return shown.map { column in
        if hasKeys, column == "key" { return key.cell }
        if hasValues { return row.cell }
        let field = names.contains(column) ? row.field(column) : Int(column).flatMap { row.entry($0) }
        guard let field else { return .empty }
        defer { stack.pop() }
        return field.cell
      }
    }
    return DataTable(columns: shown, rows: rows)
  }

  private enum RowKey {
    case place(Int)
    case integer(Int)
    case name(String)

    var cell: DataTable.Cell {
      switch self {
      case .place(let key), .integer(let key): .integer(key)
      case .name(let name): .text(name)
      }
    }
  }

  /// Places of a list; where there are other keys, all of them as keys, numbers first.
  private func rowKeys() throws -> [RowKey] {
    let names = try fieldNames(allowList: true), loose = try looseKeys()
    let listed = (1..<(listCount + 1)).filter { place in
      guard entry(place) != nil else { return false }
      stack.pop()
      return true
    }
    if names.isEmpty, loose.isEmpty { return listed.map(RowKey.place) }
    return (listed + loose).sorted().map(RowKey.integer) + names.map(RowKey.name)
  }

  /// The row under a key, on top of the stack.
  private func value(_ key: RowKey) throws -> ArgumentReader {
    let found: ArgumentReader? =
      switch key {
      case .place(let place), .integer(let place): entry(place)
      case .name(let name): field(name)
      }
    guard let found else { throw error("changed while it was read") }
    return found
  }
}

extension DataTable {
  mutating func sort(by name: String) throws {
    let isDown = name.hasPrefix("-"), column = isDown ? String(name.dropFirst()) : name
    guard let place = columns.firstIndex(of: column) else {
      throw EngineError(.argument, "show: no column '\(column)'\(suggestion(for: column, in: columns)) to sort by")
    }
    func value(_ cell: Cell) -> (Double, String) {
      switch cell {
      case .integer(let value): (Double(value), "")
      case .number(let value): (value.isNaN ? .infinity : value, "")
      case .boolean(let value): (value ? 1 : 0, "")
      case .text(let text): (0, text)
      case .empty: (.infinity, "")
      }
    }
    let order = rows.enumerated().sorted { a, b in
      let x = value(a.element[place]), y = value(b.element[place])
      if x == y { return a.offset < b.offset }
      return isDown ? x > y : x < y
    }
    rows = order.map(\.element)
  }
}
