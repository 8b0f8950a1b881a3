/// A grid of Braille dots, 2 by 4 to a character (Unicode U+2800), in which each character has one colour. Without
/// Unicode, or to tell curves apart without colour, a character shows its curve's mark instead.
struct TextCanvas {
  let columns: Int
  let rows: Int
  private var dots: [UInt8]
  private var owners: [Int]

  init(columns: Int, rows: Int) {
    self.columns = columns
    self.rows = rows
    dots = Array(repeating: 0, count: columns * rows)
    owners = Array(repeating: -1, count: columns * rows)
  }

  var width: Int { columns * 2 }
  var height: Int { rows * 4 }

  /// Sets the dot at (x, y), y downwards, for a curve; dots outside are left out.
  mutating func set(_ x: Int, _ y: Int, owner: Int) {
    guard (0..<width).contains(x), (0..<height).contains(y) else { return }
    let bits: [[UInt8]] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]]
    let cell = y / 4 * columns + x / 2
    dots[cell] |= bits[x % 2][y % 4]
    owners[cell] = owner
  }

  /// A straight line (Bresenham).
  mutating func line(from start: (x: Int, y: Int), to end: (x: Int, y: Int), owner: Int) {
    var (x, y) = start
    let (dx, dy) = (abs(end.x - x), -abs(end.y - y))
    let (stepX, stepY) = (x < end.x ? 1 : -1, y < end.y ? 1 : -1)
    var error = dx + dy
    while true {
      set(x, y, owner: owner)
      if x == end.x, y == end.y { return }
      let twice = 2 * error
      if twice >= dy {
        error += dy
        x += stepX
      }
      if twice <= dx {
        error += dx
        y += stepY
      }
    }
  }

  /// One row of characters. `mark` gives the character for a curve in place of dots.
  func text(row: Int, mark: (Int) -> String?, style: (String, Int) -> String) -> String {
    var result = ""
    for cell in (row * columns)..<((row + 1) * columns) {
      guard owners[cell] >= 0 else {
        result += " "
        continue
      }
      let braille = Unicode.Scalar(0x2800 + UInt32(dots[cell])).map { String(Character($0)) } ?? " "
      result += style(mark(owners[cell]) ?? braille, owners[cell])
    }
    return result
  }
}
