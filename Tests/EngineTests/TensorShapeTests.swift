import Engine
import Testing

@Suite struct TensorShapeTests {
  @Test func rowsAndReshapesShareStorageAndClonesDoNot() throws {
    let x = try Tensor((0..<12).map(Float.init), shape: [4, 3])
    #expect(try x.row(2).values == [6, 7, 8])
    #expect(try x.rows(1..<3).shape == [2, 3])
    #expect(try x.rows(1..<3).row(0).storage === x.storage)
    #expect(try x.reshaped([2, -1]).shape == [2, 6])
    #expect(try x.row(1).cloned().storage !== x.storage)
    #expect(try x.gathered(rows: [3, 0, 3]).values == [9, 10, 11, 0, 1, 2, 9, 10, 11])
    #expect(throws: EngineError.self) { try x.row(4) }
    #expect(throws: EngineError.self) { try x.rows(2..<5) }
    #expect(throws: EngineError.self) { try x.reshaped([5, -1]) }
    #expect(throws: EngineError.self) { try x.reshaped([-1, -1]) }
    #expect(throws: EngineError.self) { try x.reshaped([Int.max, Int.max]) }
    #expect(throws: EngineError.self) { try x.item() }
    #expect(throws: EngineError.self) { try Tensor.zeros([-1]) }
  }

  @Test func permutationMovesEveryEntry() throws {
    let x = try Tensor.normal([3, 4, 5], seed: 3), y = try x.permuted([2, 0, 1])
    #expect(y.shape == [5, 3, 4])
    for i in 0..<3 {
      for j in 0..<4 {
        for k in 0..<5 { #expect(y.pointer[(k * 3 + i) * 4 + j] == x.pointer[(i * 4 + j) * 5 + k]) }
      }
    }
    let wide = try Tensor.normal([70, 333], seed: 4)
    #expect(try wide.transposed().transposed().values == wide.values)
    #expect(try wide.transposed().pointer[5 * 70 + 7] == wide.pointer[7 * 333 + 5])
    #expect(throws: EngineError.self) { try x.permuted([0, 0, 1]) }
  }

  @Test func concatenationAlongEachDimension() throws {
    let a = try Tensor([1, 2, 3, 4], shape: [2, 2]), b = try Tensor([5, 6], shape: [1, 2])
    #expect(try Tensor.concatenated([a, b]).values == [1, 2, 3, 4, 5, 6])
    #expect(try Tensor.concatenated([a, b.reshaped([2, 1])], dimension: -1).values == [1, 2, 5, 3, 4, 6])
    #expect(try Tensor.stacked([a, a]).shape == [2, 2, 2])
    #expect(throws: EngineError.self) { try Tensor.concatenated([a, b], dimension: 1) }
    #expect(throws: EngineError.self) { try Tensor.concatenated([]) }
  }

  @Test func theHeaderSaysShapeMomentsAndNaN() throws {
    let x = try Tensor([1, 3, .nan, 5], shape: [2, 2])
    #expect(x.summary.mean == 3 && x.summary.nanCount == 1)
    #expect(x.description.split(separator: "\n")[0] == "f32 [2, 2]  mean 3  sd 1.633  norm 5.916  NaN 1")
    #expect(try Tensor.zeros([1000, 1000]).description.count < 500)
    #expect(try Tensor.zeros([50, 50, 50, 50]).description.count < 2000)
  }
}
