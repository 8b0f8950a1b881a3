import Foundation
import Testing

@testable import Engine

/// The tiny models written as GGUF the way llama.cpp's converter writes each family: its names, permuted rows, norms
/// with 1 added, divisors for scaled rotary.
enum TinyGGUF {
  /// All but mistral, whose GGUF files are of architecture `llama`.
  static let families = ["llama", "llama3-rope", "qwen2", "qwen3", "gemma2", "gemma3", "gpt2", "pythia"]

  /// Calls `body` with the path of a file that is removed afterwards. Nothing happens where the fixture is absent.
  /// `adding`: puts more into it, a tokenizer say.
  static func withFile(
    _ family: String, adding: (inout GGUFBuilder) -> Void = { _ in }, _ body: (String) throws -> Void
  ) throws {
    guard let folder = Files.fixture("tiny/\(family)") else { return }
    try Files.withFolder { target in
      let path = "\(target)/\(family).gguf"
      try Data(gguf(family, folder, adding)).write(to: URL(fileURLWithPath: path))
      try body(path)
    }
  }

  /// One family's conversion.
  private struct Conversion {
    let architecture: String
    /// Metadata by `config.json`'s key.
    var integers: [String: String] = [
      "hidden_size": "embedding_length", "num_hidden_layers": "block_count",
      "num_attention_heads": "attention.head_count",
      "num_key_value_heads": "attention.head_count_kv", "intermediate_size": "feed_forward_length",
      "max_position_embeddings": "context_length", "head_dim": "attention.key_length",
      "sliding_window": "attention.sliding_window",
    ]
    var numbers: [String: String] = [
      "rms_norm_eps": "attention.layer_norm_rms_epsilon", "rope_theta": "rope.freq_base",
      "attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping",
    ]
    var names: [(from: String, to: String)] = [
      ("model.embed_tokens.", "token_embd."), ("model.norm.", "output_norm."), ("lm_head.", "output."),
      ("model.layers.", "blk."), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
      ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"),
      ("self_attn.k_norm", "attn_k_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
      ("mlp.down_proj", "ffn_down"), ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"),
    ]
    var permutesHeads = false
    var addsOneToNorms = false
    var transposed: [String] = []
    /// Rows of the fused matrix stand head by head in the checkpoint.
    var regroupsHeads = false
  }

  private static let gemmaNames: [(from: String, to: String)] = [
    ("pre_feedforward_layernorm", "ffn_norm"), ("post_feedforward_layernorm", "post_ffw_norm"),
    ("post_attention_layernorm", "post_attention_norm"),
  ]

  private static func conversion(_ family: String) -> Conversion {
    switch family {
    case "llama", "llama3-rope": return Conversion(architecture: "llama", permutesHeads: true)
    case "gemma2", "gemma3":
      var conversion = Conversion(architecture: family, addsOneToNorms: true)
      conversion.names.insert(contentsOf: gemmaNames, at: 0)
      return conversion
    case "gpt2":
      return Conversion(
        architecture: "gpt2",
        integers: [
          "n_embd": "embedding_length", "n_layer": "block_count", "n_head": "attention.head_count",
          "n_positions": "context_length",
        ],
        numbers: ["layer_norm_epsilon": "attention.layer_norm_epsilon"],
        names: [
          ("transformer.wte.", "token_embd."), ("transformer.wpe.", "position_embd."),
          ("transformer.ln_f.", "output_norm."),
          ("transformer.h.", "blk."), ("attn.c_attn", "attn_qkv"), ("attn.c_proj", "attn_output"),
          ("ln_1", "attn_norm"),
          ("ln_2", "ffn_norm"), ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down"),
        ],
        transposed: ["c_attn.weight", "c_proj.weight", "c_fc.weight"])
    case "pythia":
      return Conversion(
        architecture: "gptneox",
        integers: [
          "hidden_size": "embedding_length", "num_hidden_layers": "block_count",
          "num_attention_heads": "attention.head_count", "intermediate_size": "feed_forward_length",
          "max_position_embeddings": "context_length",
        ],
        numbers: ["layer_norm_eps": "attention.layer_norm_epsilon"],
        names: [
          ("gpt_neox.embed_in.", "token_embd."), ("gpt_neox.final_layer_norm.", "output_norm."),
          ("embed_out.", "output."),
          ("gpt_neox.layers.", "blk."), ("attention.query_key_value", "attn_qkv"), ("attention.dense", "attn_output"),
          ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), ("mlp.dense_h_to_4h", "ffn_up"),
          ("mlp.dense_4h_to_h", "ffn_down"),
        ],
        regroupsHeads: true)
    default: return Conversion(architecture: family)
    }
  }

  /// llama.cpp's converter writes Llama 3.1's scaling as a tensor of divisors.
  private static func scalesByDivisors(_ settings: ConfigurationFile) -> Bool {
    settings["rope_scaling"]?["rope_type"]?.string == "llama3"
  }

  /// `[heads, 2, half, inputs]` to `[heads, half, 2, inputs]`: rotary pairs side by side.
  private static func permuted(_ values: [Float], rows: Int, headSize: Int) -> [Float] {
    let width = values.count / rows, half = headSize / 2
    var result: [Float] = []
    for row in 0..<rows {
      let head = row / headSize, pair = row % headSize / 2, side = row % 2
      let source = head * headSize + side * half + pair
      result += values[source * width..<(source + 1) * width]
    }
    return result
  }

  /// `[heads, 3, size, inputs]` to `[3, heads, size, inputs]`.
  private static func regrouped(_ values: [Float], heads: Int) -> [Float] {
    let block = values.count / heads / 3
    var result: [Float] = []
    for part in 0..<3 {
      for head in 0..<heads {
        let start = (head * 3 + part) * block
        result += values[start..<start + block]
      }
    }
    return result
  }

  /// Names of the parts of a model in `count` files.
  static func partNames(_ count: Int) -> [String] {
    (1...count).map { String(format: "tiny-%05d-of-%05d.gguf", $0, count) }
  }

  /// The files of a model split as llama.cpp's gguf-split does it: metadata in the first, which may have no tensors.
  static func parts(_ family: String, _ folder: String, count: Int, firstIsEmpty: Bool = false) throws -> [[UInt8]] {
    var (first, tensors) = try contents(family, folder)
    let total = tensors.count, files = firstIsEmpty ? count - 1 : count
    return (0..<count).map { number in
      var builder = number == 0 ? first : GGUFBuilder()
      builder.add("split.no", type: 2, GGUFBuilder.number(UInt16(number)))
      builder.add("split.count", type: 2, GGUFBuilder.number(UInt16(count)))
      builder.add("split.tensors.count", type: 5, GGUFBuilder.number(Int32(total)))
      guard !(firstIsEmpty && number == 0) else { return builder.bytes }
      let share = number == count - 1 ? tensors.count : total / files
      for (name, dimensions, bytes) in tensors.prefix(share) { builder.tensor(name, dimensions: dimensions, bytes) }
      tensors.removeFirst(share)
      return builder.bytes
    }
  }

  /// A model in one file, with what `edit` adds to its metadata and tensors.
  static func gguf(_ family: String, _ folder: String, _ edit: (inout GGUFBuilder) throws -> Void = { _ in }) throws
    -> [UInt8]
  {
    var (builder, tensors) = try contents(family, folder)
    try edit(&builder)
    for (name, dimensions, bytes) in tensors { builder.tensor(name, dimensions: dimensions, bytes) }
    return builder.bytes
  }

  private typealias StoredTensor = (name: String, dimensions: [UInt64], bytes: [UInt8])

  private static func contents(_ family: String, _ folder: String) throws -> (GGUFBuilder, [StoredTensor]) {
    let conversion = conversion(family), settings = try ConfigurationFile(path: folder + "/config.json")
    let file = try SafetensorsFile(path: folder + "/model.safetensors")
    var builder = GGUFBuilder(), tensors: [StoredTensor] = []
    builder.add("general.architecture", conversion.architecture)
    func key(_ name: String) -> String { "\(conversion.architecture).\(name)" }
    for (name, target) in conversion.integers.sorted(by: { $0.key < $1.key }) {
      if let value = try settings.int(ifPresent: name) { builder.add(key(target), UInt32(value)) }
    }
    for (name, target) in conversion.numbers.sorted(by: { $0.key < $1.key }) {
      guard let value = try settings.double(ifPresent: name) else { continue }
      builder.add(key(target), type: 6, GGUFBuilder.number(Float(value).bitPattern))
    }
    let heads = try settings.int(ifPresent: "num_attention_heads") ?? settings.int("n_head")
    let width = try settings.int(ifPresent: "hidden_size") ?? settings.int("n_embd")
    let headSize = try settings.int(ifPresent: "head_dim") ?? width / heads
    if family == "pythia" {
      builder.add(key("rope.dimension_count"), UInt32(Double(headSize) * (try settings.double("rotary_pct"))))
      builder.add(key("use_parallel_residual"), type: 7, [try settings.bool("use_parallel_residual") ? 1 : 0])
    }
    if family == "gpt2" { builder.add(key("feed_forward_length"), UInt32(4 * width)) }
    for name in file.names {
      var tensor = try file.tensor(name), target = name
      for (from, to) in conversion.names { target = target.replacing(from, with: to) }
      if conversion.transposed.contains(where: name.hasSuffix) { tensor = try tensor.transposed() }
      var values = tensor.values
      if conversion.permutesHeads, name.contains("q_proj") || name.contains("k_proj") {
        values = permuted(values, rows: tensor.shape[0], headSize: headSize)
      }
      if conversion.addsOneToNorms, name.contains("norm") { values = values.map { $0 + 1 } }
      if conversion.regroupsHeads, name.contains("query_key_value") { values = regrouped(values, heads: heads) }
      tensors.append(
        (target, tensor.shape.reversed().map(UInt64.init), values.flatMap { GGUFBuilder.number($0.bitPattern) }))
    }
    if scalesByDivisors(settings) {
      let scaling = try #require(try settings.object(ifPresent: "rope_scaling"))
      let factor = try scaling.double("factor"), low = try scaling.double("low_freq_factor")
      let high = try scaling.double("high_freq_factor")
      let context = Double(try scaling.int("original_max_position_embeddings")),
        base = try settings.double("rope_theta")
      let divisors = (0..<headSize / 2).map { i -> Float in
        let wavelength = 2 * Double.pi * pow(base, Double(2 * i) / Double(headSize))
        if wavelength < context / high { return 1 }
        if wavelength > context / low { return Float(factor) }
        let smooth = (context / wavelength - low) / (high - low)
        return Float(1 / ((1 - smooth) / factor + smooth))
      }
      tensors.append(
        ("rope_freqs.weight", [UInt64(divisors.count)], divisors.flatMap { GGUFBuilder.number($0.bitPattern) }))
    }
    return (builder, tensors)
  }
}
