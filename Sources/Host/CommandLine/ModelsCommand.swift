import ArgumentParser
import Engine
import Foundation
import LuaBindings

/// `acthost models`: what can be loaded by name, or what one checkpoint holds.
struct Models: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List the models that model.load finds by name, or what a checkpoint holds.")

  @Argument(help: "A model's name, or the path of a .gguf or .safetensors file or a Hugging Face folder.")
  var checkpoint: String?

  func run() throws {
    let store = ModelStore()
    if let checkpoint { return describe(try ModelInspection(path: try store.resolve(checkpoint))) }
    var rows = PackagedModel.all.map { model -> [DataTable.Cell] in
      let isHere = fileSize(store.path(of: model.name)) != nil
      return [
        .text(model.name), .text(byteText(model.bytes)), .text(model.licence),
        .text(isHere ? store.path(of: model.name) : "acthost pull \(model.name)"),
      ]
    }
    for name in store.installed where !PackagedModel.all.contains(where: { $0.name == name }) {
      let path = store.path(of: name)
      rows.append([.text(name), .text(byteText(fileSize(path) ?? 0)), .empty, .text(path)])
    }
    var refused: [(name: String, why: String)] = []
    for name in store.huggingFace.models {
      do {
        guard let folder = try store.huggingFace.snapshot(of: name) else { continue }
        let found = try ModelInspection(path: folder)
        guard let family = found.family else {
          refused.append((name, found.problem ?? ""))
          continue
        }
        let bytes = found.tensors.reduce(0) { $0 + $1.stored.bytes }
        rows.append([.text(name), .text(byteText(bytes)), .empty, .text("Hugging Face cache, \(family)")])
      } catch let error as EngineError {
        refused.append((name, error.message))
      }
    }
    show(DataTable(columns: ["name", "size", "licence", "where"], rows: rows))
    if !refused.isEmpty {
      print("In the Hugging Face cache, but not to be loaded:")
      for (name, why) in refused { print("  \(oneLine("\(name): \(why)"))") }
    }
    print("Any .gguf file or Hugging Face folder can be loaded by its path.")
  }

  /// Settings, tensors, and whether it can be loaded.
  private func describe(_ found: ModelInspection) {
    show(
      DataTable(
        columns: ["setting", "value"],
        rows: found.settings.map { [.text($0.name), .text(String((($0.value.string) ?? $0.value.text).prefix(200)))] }))
    print()
    show(
      DataTable(
        columns: ["tensor", "type", "shape", "size"],
        rows: found.tensors.map {
          [.text($0.name), .text($0.stored.type), .text(shapeText($0.shape)), .text(byteText($0.stored.bytes))]
        }))
    print("\n\(found.tensors.count) tensors, \(found.parameterCount) values; ", terminator: "")
    print(found.family.map { "family \($0)" } ?? "cannot be loaded: \(oneLine(found.problem ?? ""))")
  }

  private func show(_ table: DataTable) { print(TextTable(table).text(terminal: .output), terminator: "") }
}
