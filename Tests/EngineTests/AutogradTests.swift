import Engine
import Foundation
import Testing

/// The gradient of `sum(f(parameters) * weights)` against central differences, entry by entry. The step of 2^-7 leaves
/// a rounding error of about 1e-7 * |f| / 2^-7 = 1e-5 and, for these smooth functions, a truncation error of 2^-14 of
/// the third derivative: 2e-3 of the gradient's scale covers both.
private func checkGradient(
  _ shapes: [[Int]], seed: Int = 1, awayFromZero: Bool = false, sourceLocation: SourceLocation = #_sourceLocation,
  _ f: ([Variable]) throws -> Variable
) throws {
  let parameters = try shapes.enumerated().map { place, shape in
    let x = try Tensor.normal(shape, seed: seed * 10 + place)
    if awayFromZero { for i in 0..<x.count { x.mutablePointer[i] += x.pointer[i] < 0 ? -0.5 : 0.5 } }
    return try Parameter("p\(place)", x)
  }
  let tape = Tape()
  let first = try f(parameters.map(tape.parameter))
  let weights = try Tensor.normal(first.shape, seed: seed + 77)
  try tape.backward(from: (first * tape.constant(weights)).sum())
  func value() throws -> Double {
    let out = try f(parameters.map { tape.constant($0.value) }).value
    return (0..<out.count).reduce(0) { $0 + Double(out.pointer[$1]) * Double(weights.pointer[$1]) }
  }
  let step: Float = 0x1p-7
  for parameter in parameters {
    let gradient = try #require(parameter.gradient, sourceLocation: sourceLocation)
    #expect(gradient.shape == parameter.value.shape, sourceLocation: sourceLocation)
    let scale = max(1, gradient.norm() / Double(gradient.count).squareRoot())
    for i in 0..<parameter.value.count {
      let before = parameter.value.pointer[i]
      parameter.value.mutablePointer[i] = before + step
      let up = try value()
      parameter.value.mutablePointer[i] = before - step
      let down = try value()
      parameter.value.mutablePointer[i] = before
      let expected = (up - down) / Double(2 * step)
      #expect(abs(Double(gradient.pointer[i]) - expected) < 2e-3 * scale, sourceLocation: sourceLocation)
    }
  }
}

@Suite struct AutogradTests {
  @Test func elementwiseGradientsEqualFiniteDifferences() throws {
    for (left, right) in [
      ([3, 4], [3, 4]), ([3, 4], [4]), ([4], [3, 4]), ([3, 1], [1, 4]), ([2, 3, 2], [3, 1]), ([], [2]),
    ] {
      try checkGradient([left, right]) { try $0[0] + $0[1] }
      try checkGradient([left, right]) { try $0[0] - $0[1] }
      try checkGradient([left, right]) { try $0[0] * $0[1] }
      // Third derivatives of 1 / b grow as b^-4: denominators of at least 0.5 in a hundred-fold flatter function.
      try checkGradient([left, right], awayFromZero: true) {
        try $0[0] / ($0[1] * $0[1].scaled(by: 0.1) + $0[1].tape.constant(Tensor([4])))
      }
    }
    try checkGradient([[5, 3]]) { try $0[0].scaled(by: -2.5) }
    try checkGradient([[5, 3]], awayFromZero: true) { try $0[0].relu() }
    try checkGradient([[5, 3]]) { try $0[0].reshaped([3, 5]).transposed() * $0[0] }
  }

  @Test func productGradientsEqualFiniteDifferences() throws {
    try checkGradient([[3, 4], [4, 5]]) { try $0[0].matmul($0[1]) }
    try checkGradient([[3, 4], [5, 4]]) { try $0[0].linear($0[1]) }
    try checkGradient([[3, 4], [5, 4], [5]]) { try $0[0].linear($0[1], bias: $0[2]) }
    try checkGradient([[4, 4]]) { try $0[0].matmul($0[0]).matmul($0[0]).scaled(by: 0.2) }
    try checkGradient([[3, 4], [4, 4], [4]]) { try $0[0].linear($0[1], bias: $0[2]).linear($0[1], bias: $0[2]) + $0[0] }
  }

  @Test func reductionsAndLossesEqualFiniteDifferences() throws {
    try checkGradient([[3, 4]]) { try ($0[0] * $0[0]).sum() }
    try checkGradient([[3, 4]]) { try ($0[0] * $0[0]).mean() * $0[0].sum() }
    try checkGradient([[3, 4], [3, 4]]) { try $0[0].meanSquaredError($0[1]) }
    try checkGradient([[6, 4], [3, 4], [3], [5, 3], [5], [6, 5]], seed: 3) {
      try $0[0].linear($0[1], bias: $0[2]).relu().linear($0[3], bias: $0[4]).meanSquaredError($0[5])
    }
  }

  @Test func gradientsOfSeveralPassesAddUpAndAValueUsedTwiceCountsTwice() throws {
    let p = try Parameter("p", Tensor([1, 2])), tape = Tape()
    for _ in 0..<2 {
      let x = tape.parameter(p), again = tape.parameter(p)
      try tape.backward(from: (x + x + again).sum())
    }
    #expect(p.gradient?.values == [6, 6])
    p.clearGradient()
    #expect(p.gradient == nil)
  }

  @Test func misuseIsAnError() throws {
    let p = try Parameter("p", Tensor([1, 2])), tape = Tape(), x = tape.parameter(p)
    #expect(throws: EngineError.self) { try tape.backward(from: x) }
    let loss = try x.sum()
    try tape.backward(from: loss)
    #expect(throws: EngineError.self) { try tape.backward(from: loss) }
    #expect(throws: EngineError.self) { try x.sum() }
    #expect(throws: EngineError.self) { try tape.parameter(p) + Tape().parameter(p) }
    let wide = try Parameter("wide", Tensor.zeros([3, 1]))
    #expect(throws: EngineError.self) { try tape.parameter(p).matmul(tape.parameter(wide)) }
  }

  /// A result that someone keeps is not overwritten by later steps, although memory is used again.
  @Test func keptTensorsSurviveLaterSteps() throws {
    let weight = try Parameter("w", Tensor.normal([64, 64], seed: 1)), tape = Tape()
    var kept: [(Tensor, [Float])] = []
    var places: Set<UnsafePointer<Float>> = []
    for step in 0..<20 {
      let y = try tape.constant(Tensor.normal([32, 64], seed: step)).linear(tape.parameter(weight)).relu()
      places.insert(y.value.pointer)
      if step % 5 == 0 { kept.append((y.value, y.value.values)) }
      try tape.backward(from: y.mean())
      weight.clearGradient()
    }
    for (tensor, values) in kept { #expect(tensor.values == values) }
    // Four kept results, and the few buffers that the other steps share.
    #expect(places.count <= 8)
  }
}

@Suite struct AdamTests {
  /// Algorithm 1 of the paper, in Double, on the same gradients.
  @Test(arguments: [0, 0.1]) func stepsFollowTheAlgorithm(decay: Double) throws {
    let start = try Tensor.normal([37], seed: 1), p = try Parameter("p", start), tape = Tape()
    let optimiser = try Adam([p], learningRate: 0.01, weightDecay: decay)
    var theta = start.values.map(Double.init), m = theta.map { _ in 0.0 }, v = m
    for t in 1...50 {
      // Loss sum(theta^2 * c): gradient 2 c theta.
      let c = try Tensor.normal([37], seed: 100 + t), x = tape.parameter(p)
      try tape.backward(from: (x * x * tape.constant(c)).sum())
      optimiser.step()
      for i in theta.indices {
        let g = 2 * Double(c.pointer[i]) * theta[i]
        theta[i] -= 0.01 * decay * theta[i]
        m[i] = 0.9 * m[i] + 0.1 * g
        v[i] = 0.999 * v[i] + 0.001 * g * g
        theta[i] -=
          0.01 * (m[i] / (1 - pow(0.9, Double(t)))) / ((v[i] / (1 - pow(0.999, Double(t)))).squareRoot() + 1e-8)
      }
    }
    // 50 steps of 0.01 in float32.
    for i in theta.indices { #expect(abs(Double(p.value.pointer[i]) - theta[i]) < 1e-5) }
  }

  @Test func anAutoencoderLearnsALowRankMap() throws {
    let x = try Tensor.normal([512, 12], seed: 1)
    let y = try x.matmul(Tensor.normal([12, 3], seed: 2)).matmul(Tensor.normal([3, 10], seed: 3))
    let scale = Float(0.2)
    let parameters = try [
      Parameter("w1", Tensor.normal([24, 12], seed: 4) * scale), Parameter("b1", Tensor.zeros([24])),
      Parameter("w2", Tensor.normal([10, 24], seed: 5) * scale), Parameter("b2", Tensor.zeros([10])),
    ]
    let optimiser = try Adam(parameters, learningRate: 0.01), tape = Tape()
    var losses: [Float] = []
    for _ in 0..<600 {
      let p = parameters.map(tape.parameter)
      let loss = try tape.constant(x).linear(p[0], bias: p[1]).relu().linear(p[2], bias: p[3])
        .meanSquaredError(tape.constant(y))
      losses.append(loss.value.pointer[0])
      try tape.backward(from: loss)
      optimiser.step()
    }
    // Exact with 2 * 3 hidden units; 24 reach a hundredth of the start easily.
    #expect(losses.last! < losses[0] / 100)
  }
}
