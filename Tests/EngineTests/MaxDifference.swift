/// Largest |a - b|, printed with a name; infinite where a value is NaN or counts differ.
@discardableResult
func maxDifference(_ name: String, _ a: [Float], _ b: [Float]) -> Float {
  guard a.count == b.count else {
    print("\(name)  \(a.count) values against \(b.count)")
    return .infinity
  }
  var largest: Float = 0
  for (x, y) in zip(a, b) { largest = x.isNaN || y.isNaN ? .infinity : max(largest, abs(x - y)) }
  print("\(name)  max|diff| \(largest)")
  return largest
}
