import Engine

/// How well a map predicts the target on texts it was not fitted to. All figures are about the target's mean over
/// those rows: raw cosines say nothing where one mean vector dominates every activation.
public struct MapReport: Sendable, Codable, Equatable {
  /// Mean squared error over rows and dimensions, raw units.
  public var mse: Double
  /// Fraction of variance unexplained, each dimension against predicting its mean, averaged over dimensions.
  public var fvu: Double
  /// The same of the rows of the template, against the same mean.
  public var fvuTemplate: Double
  /// Summed squared error over summed variance: large dimensions weigh most.
  public var fvuPooled: Double
  /// Mean cosine of prediction and target, both less the mean: all rows, and each text's last row.
  public var cosineCentred: Double
  public var cosineLast: Double
  /// Held-out rows, and rows fitted to.
  public var rows: Int
  public var trainingRows: Int
  /// Time of the fit itself.
  public var seconds: Double
  /// How training went, epoch by epoch; nil for maps in closed form.
  public var curve: [Epoch]?
  /// Whether training ended because the validation loss fell no more; nil where nothing was checked, as with a fixed
  /// number of epochs.
  public var converged: Bool?
  /// The epoch whose parameters were kept; nil for maps in closed form.
  public var bestEpoch: Int?

  /// Losses are mean squared errors in the units trained on (deviations; raw ones with the paper's preset).
  public struct Epoch: Sendable, Codable, Equatable {
    public let epoch: Int
    public let loss: Double
    /// On the texts held out for the report, which decide nothing; with a fixed number of epochs.
    public let heldOut: Double?
    /// On the texts that decide when to stop.
    public let validation: Double?
    public let learningRate: Double
  }

  /// `fvu` dimension by dimension; NaN where the target never changes.
  public var fvuByDimension: [Double]

  /// NaN throughout where `pairs` has no rows.
  public init(_ mapper: any Mapper, on pairs: ActivationPairs, trainingRows: Int = 0, seconds: Double = 0) throws {
    let width = pairs.targetWidth
    var errors = ErrorSums(width), template = ErrorSums(width)
    let mean = pairs.count == 0 ? try Tensor.zeros([width]) : try pairs.target.mean(dimension: 0)
    var cosine = 0.0, last = 0.0, lastCount = 0
    for start in stride(from: 0, to: pairs.count, by: 1024) {
      try Interrupt.check()
      let range = start..<min(pairs.count, start + 1024)
      let predicted = try mapper(pairs.source.rows(range)), actual = try pairs.target.rows(range)
      for row in range {
        let p = predicted.pointer + (row - start) * width, y = actual.pointer + (row - start) * width
        let similarity = errors.add(p, y, mean.pointer)
        if pairs.rows[row].isTemplate { _ = template.add(p, y, mean.pointer) }
        cosine += similarity
        if pairs.rows[row].isLast {
          last += similarity
          lastCount += 1
        }
      }
    }
    mse = errors.error.reduce(0, +) / (Double(pairs.count) * Double(width))
    fvuByDimension = errors.unexplained
    fvu = MapReport.meanOfNumbers(fvuByDimension)
    fvuTemplate = MapReport.meanOfNumbers(template.unexplained)
    fvuPooled = errors.error.reduce(0, +) / errors.variance.reduce(0, +)
    cosineCentred = cosine / Double(pairs.count)
    cosineLast = last / Double(lastCount)
    rows = pairs.count
    self.trainingRows = trainingRows
    self.seconds = seconds
  }

  private static func meanOfNumbers(_ values: [Double]) -> Double {
    let numbers = values.filter { !$0.isNaN }
    return numbers.reduce(0, +) / Double(numbers.count)
  }

  /// Squared errors, and squared distances from the mean, per dimension.
  private struct ErrorSums {
    var error: [Double], variance: [Double]

    init(_ width: Int) {
      error = Array(repeating: 0, count: width)
      variance = error
    }

    var unexplained: [Double] { zip(error, variance).map { $1 > 0 ? $0 / $1 : .nan } }

    /// Returns the centred cosine of the row.
    mutating func add(_ p: UnsafePointer<Float>, _ y: UnsafePointer<Float>, _ mean: UnsafePointer<Float>) -> Double {
      var dot = 0.0, pp = 0.0, yy = 0.0
      for i in error.indices {
        let a = Double(p[i]) - Double(mean[i]), b = Double(y[i]) - Double(mean[i])
        error[i] += (a - b) * (a - b)
        variance[i] += b * b
        dot += a * b
        pp += a * a
        yy += b * b
      }
      return pp > 0 && yy > 0 ? dot / (pp * yy).squareRoot() : 0
    }
  }
}
