/// Adam (Kingma and Ba 2015, algorithm 1) and, with `weightDecay`, AdamW (Loshchilov and Hutter 2019, algorithm 2):
/// the decay shrinks the parameter itself and stays out of the moments. Changes parameters in place; deterministic.
public final class Adam {
  public let parameters: [Parameter]
  public var learningRate: Double
  public let beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double
  public private(set) var steps = 0
  private let first: [Tensor]
  private let second: [Tensor]

  public init(
    _ parameters: [Parameter], learningRate: Double, beta1: Double = 0.9, beta2: Double = 0.999,
    epsilon: Double = 1e-8, weightDecay: Double = 0
  ) throws {
    self.parameters = parameters
    self.learningRate = learningRate
    (self.beta1, self.beta2, self.epsilon, self.weightDecay) = (beta1, beta2, epsilon, weightDecay)
    first = try parameters.map { try Tensor.zeros($0.value.shape) }
    second = try parameters.map { try Tensor.zeros($0.value.shape) }
  }

  /// First and second moments of each parameter.
  var moments: [(first: Tensor, second: Tensor)] { Array(zip(first, second)) }

  /// Continues after `steps` updates whose moments have been put back.
  func resume(steps: Int) { self.steps = steps }

  /// One update from the parameters' gradients, which are then cleared. A parameter without a gradient stays.
  public func step() {
    steps += 1
    let correction1 = 1 - power(beta1, steps), correction2 = 1 - power(beta2, steps)
    let rate = Float(learningRate / correction1), root = Float(1 / correction2.squareRoot())
    let keep = Float(1 - learningRate * weightDecay), epsilon = Float(epsilon)
    let (b1, b2, c1, c2) = (Float(beta1), Float(beta2), Float(1 - beta1), Float(1 - beta2))
    for (place, parameter) in parameters.enumerated() {
      guard let gradient = parameter.gradient else { continue }
      let p = parameter.value.mutablePointer, g = gradient.pointer
      let m = first[place].mutablePointer, v = second[place].mutablePointer
      parallelRanges(gradient.count, minimum: Broadcast.grain / 4) { range in
        for i in range {
          let slope = g[i]
          let mean = b1 * m[i] + c1 * slope, square = b2 * v[i] + c2 * (slope * slope)
          m[i] = mean
          v[i] = square
          p[i] = keep * p[i] - rate * mean / (square.squareRoot() * root + epsilon)
        }
      }
      parameter.value.storage.markChanged()
      parameter.clearGradient()
    }
  }

  private func power(_ base: Double, _ exponent: Int) -> Double {
    var result = 1.0, factor = base, rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result *= factor }
      factor *= factor
      rest >>= 1
    }
    return result
  }
}
