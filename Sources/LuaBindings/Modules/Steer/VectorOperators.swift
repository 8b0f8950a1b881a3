import Engine
import Transfer

extension VectorObject {
  private static let sample = "local v = steer.from(tensor.ones(576), { layer = 12 })\n"

  static let operatorRows: [Function] = [
    Function(
      "__add", "v + w", "The sum; site and layer stay where both agree, the means are dropped.", results: "vector",
      example: sample + "print(v + v)", retries: true
    ) { call in try call.pushSum { try $0 + $1 } },
    Function(
      "__sub", "v - w", "The difference; site and layer stay where both agree, the means are dropped.",
      results: "vector", example: sample + "print(v - 0.5 * v)", retries: true
    ) { call in try call.pushSum { try $0 - $1 } },
    Function(
      "__mul", "v * number", "The vector scaled; the means stay.", results: "vector", example: sample + "print(2 * v)",
      retries: true
    ) { call in
      if call.argument(1).isNumber {
        return call.push(VectorObject(try call.argument(2).vector() * Float(try call.argument(1).number())))
      }
      let vector = try call.argument(1).vector()
      return call.push(VectorObject(try vector * Float(try call.factor())))
    },
    Function(
      "__div", "v / number", "The vector scaled; the means stay.", results: "vector", example: sample + "print(v / 2)",
      retries: true
    ) { call in
      guard !call.argument(1).isNumber else { throw call.error("a number cannot be divided by a vector") }
      let vector = try call.argument(1).vector()
      return call.push(VectorObject(try vector / Float(try call.factor())))
    },
    Function(
      "__unm", "-v", "The opposite direction; the means stay.", results: "vector", example: sample + "print(-v)",
      retries: true
    ) { call in call.push(VectorObject(try -call.argument(1).vector())) },
    Function("__len", "#v", "Its width.", results: "integer", example: sample + "print(#v)") { call in
      call.push(try call.argument(1).vector().width)
    },
  ]
}

extension Call {
  fileprivate func pushSum(_ operation: (SteeringVector, SteeringVector) throws -> SteeringVector) throws -> Int {
    push(VectorObject(try operation(summand(1), summand(2))))
  }

  private func summand(_ index: Int) throws -> SteeringVector {
    let reader = argument(index)
    if reader.isNumber { throw error("a number and a vector cannot be added; v * number scales") }
    return try reader.vector()
  }

  fileprivate func factor() throws -> Double {
    let reader = argument(2)
    guard reader.isNumber else {
      throw error(
        "a vector is scaled by a number, found \(reader.stack.found(at: reader.index)); v.direction is its tensor")
    }
    return try reader.number()
  }
}
