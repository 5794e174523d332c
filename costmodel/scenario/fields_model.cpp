// The keys of the section `model`.
#include "costmodel/scenario/field_rows.hpp"

namespace dtcalc {

namespace field_rows {
namespace {

constexpr double max_side = 65536;     // pixels
constexpr double max_channels = 4096;  // satellites have a few hundred bands

}  // namespace

std::vector<Field> model() {
  using S = Scenario;
  using M = Model;
  using X = TextTower;
  return {
      in<&S::model, &M::name>("/model/name", "What the model is called in reports."),
      in<&S::model, &M::layers>("/model/layers", positive(max_layers),
                                "Transformer blocks [L]; their memory and time grow in proportion."),
      in<&S::model, &M::hidden_size>("/model/hidden_size", positive(max_width),
                                     "Width of the residual stream [D]; parameters of a block grow with its square."),
      in<&S::model, &M::heads>("/model/heads", positive(max_width), "Query heads of attention [A]."),
      in<&S::model, &M::kv_heads>(
          "/model/kv_heads", count(max_width),
          "Key and value heads [G]: as many as heads is MHA, fewer is GQA, 1 is MQA; the KV cache grows in proportion.",
          "heads"),
      in<&S::model, &M::head_size>("/model/head_size", count(max_width), "Channels of one head [H].",
                                   "hidden_size / heads"),
      in<&S::model, &M::mlp_size>("/model/mlp_size", count(max_width), "Width inside the MLP [F = E D].",
                                  "4 hidden_size"),
      in<&S::model, &M::vocabulary_size>("/model/vocabulary_size", count(max_count),
                                         "Rows of the token embedding [V]; logits and loss grow in proportion. 0 for "
                                         "images."),
      in<&S::model, &M::max_sequence>("/model/max_sequence", count(max_count),
                                      "Longest sequence [K]: the rows of a learned position table, else the length the "
                                      "model was made for; 0 is unlimited."),
      in<&S::model, &M::position_rows>(
          "/model/position_rows", count(max_count),
          "Rows of a learned position table that has more than max_sequence (OPT has two more).", "max_sequence"),
      in<&S::model, &M::position>("/model/position",
                                  "How positions enter: a learned table, rotation of queries and keys, "
                                  "a linear bias on the scores, or not at all."),
      in<&S::model, &M::rope, &Rope::base>("/model/rope/base", above_zero(1e15),
                                           "Base of the rotation frequencies; larger turns slower."),
      in<&S::model, &M::rope, &Rope::local_base>(
          "/model/rope/local_base", count(1e15),
          "Base in the local layers of a windowed model, without scaling (Gemma 3).", "base"),
      in<&S::model, &M::rope, &Rope::rotary_size>("/model/rope/rotary_size", count(max_width),
                                                  "Channels of a head that rotate, an even number.", "head_size"),
      in<&S::model, &M::rope, &Rope::pairing>(
          "/model/rope/pairing", "Which channels turn together: neighbours (2i, 2i+1) or halves (i, i + rotary/2)."),
      in<&S::model, &M::rope, &Rope::scaling>(
          "/model/rope/scaling", "Rule that stretches the frequencies beyond the trained length; costs nothing."),
      in<&S::model, &M::rope, &Rope::factor>("/model/rope/factor", Range{1, 1e6, false, false},
                                             "By how much the scaling stretches the sequence."),
      in<&S::model, &M::rope, &Rope::low_frequency_factor>("/model/rope/low_frequency_factor", above_zero(1e6),
                                                           "llama3 scaling: below it a frequency is fully stretched."),
      in<&S::model, &M::rope, &Rope::high_frequency_factor>("/model/rope/high_frequency_factor", above_zero(1e6),
                                                            "llama3 scaling: above it a frequency is left alone."),
      in<&S::model, &M::rope, &Rope::original_positions>(
          "/model/rope/original_positions", count(max_count),
          "Sequence length before stretching; llama3, yarn and longrope scaling need it."),
      in<&S::model, &M::block>("/model/block",
                               "serial: the MLP reads what attention wrote; parallel: both read the same stream."),
      in<&S::model, &M::norm>("/model/norm", "LayerNorm, or RMSNorm without mean and bias."),
      in<&S::model, &M::norm_bias>("/model/norm_bias", "Whether LayerNorm has a bias (beta); RMSNorm never has one.",
                                   "true for layer_norm"),
      in<&S::model, &M::norm_epsilon>("/model/norm_epsilon", above_zero(1), "Added to the variance under the root."),
      in<&S::model, &M::norm_placement>(
          "/model/norm_placement", "Norm before attention and MLP, after the residual addition, or on both sides."),
      in<&S::model, &M::norm_affine>("/model/norm_affine",
                                     "Weight (and bias) on the norms that a product follows; false once folded (1.2)."),
      in<&S::model, &M::final_norm_affine>("/model/final_norm_affine", "The same for the norm before the head."),
      in<&S::model, &M::parallel_norms>("/model/parallel_norms",
                                        "Parallel block with one norm for attention and one for the MLP (Falcon-40B)."),
      in<&S::model, &M::final_norm>("/model/final_norm", "A norm between the last block and the head."),
      in<&S::model, &M::norm_weight_offset>("/model/norm_weight_offset",
                                            "The stored norm weight is gamma - 1 (Gemma); costs nothing."),
      in<&S::model, &M::query_bias>("/model/query_bias", "Bias on the query projection."),
      in<&S::model, &M::key_bias>("/model/key_bias", "Bias on the key projection."),
      in<&S::model, &M::value_bias>("/model/value_bias", "Bias on the value projection."),
      in<&S::model, &M::attention_output_bias>("/model/attention_output_bias", "Bias on the output projection."),
      in<&S::model, &M::mlp_bias>("/model/mlp_bias", "Biases on the matrices of the MLP."),
      in<&S::model, &M::head_bias>("/model/head_bias", "Bias on the logits."),
      in<&S::model, &M::tied_embeddings>("/model/tied_embeddings",
                                         "The head uses the token embedding's matrix; otherwise V D more parameters."),
      in<&S::model, &M::input>("/model/input", "Token ids, or images cut into patches."),
      in<&S::model, &M::head>("/model/head",
                              "What stands on the last block, and the loss: language (every next token), classes, "
                              "contrast (images against texts), reward (a number per sequence), value (one per token).",
                              "classes for images"),
      in<&S::model, &M::outputs>("/model/outputs", count(max_width),
                                 "Classes, or width of the vectors that a contrast compares."),
      in<&S::model, &M::causal>("/model/causal", "A position attends to itself and those before; else to all.",
                                "true for tokens"),
      in<&S::model, &M::image_size>("/model/image_size", count(max_side), "Side of the square image.", "", "pixels"),
      in<&S::model, &M::patch_size>("/model/patch_size", count(max_side),
                                    "Side of a patch; (image_size / patch_size)^2 of them are the positions.", "",
                                    "pixels"),
      in<&S::model, &M::image_channels>("/model/image_channels", positive(max_channels), "Numbers of a pixel."),
      in<&S::model, &M::patch_bias>("/model/patch_bias", "Bias on the patch embedding."),
      in<&S::model, &M::class_token>("/model/class_token",
                                     "A learned position before the patches, whose output stands for the image."),
      in<&S::model, &M::embedding_norm>("/model/embedding_norm", "A norm between the embedding and the first block."),
      in<&S::model, &M::text, &X::layers>("/model/text/layers", count(max_layers),
                                          "Blocks of the text tower that stands beside the image tower; 0: none."),
      in<&S::model, &M::text, &X::hidden_size>("/model/text/hidden_size", positive(max_width),
                                               "Width of its residual stream."),
      in<&S::model, &M::text, &X::heads>("/model/text/heads", positive(max_width), "Heads of its attention."),
      in<&S::model, &M::text, &X::mlp_size>("/model/text/mlp_size", count(max_width), "Width inside its MLP.",
                                            "4 hidden_size"),
      in<&S::model, &M::text, &X::vocabulary_size>("/model/text/vocabulary_size", positive(max_count),
                                                   "Rows of its token embedding."),
      in<&S::model, &M::text, &X::max_sequence>("/model/text/max_sequence", positive(max_count),
                                                "Tokens of a text; shorter ones are padded.", "", "tokens"),
      in<&S::model, &M::activation>("/model/activation",
                                    "Nonlinearity of the MLP; gelu is exact, gelu_tanh its tanh approximation."),
      in<&S::model, &M::gated_mlp>(
          "/model/gated_mlp", "Gated linear unit: three matrices instead of two (SwiGLU with silu, GEGLU, ReGLU)."),
      in<&S::model, &M::attention_scale>("/model/attention_scale", "Factor on the scores before the softmax."),
      in<&S::model, &M::attention_scale_value>("/model/attention_scale_value", count(1e6),
                                               "The factor when attention_scale is given."),
      in<&S::model, &M::attention_softcap>("/model/attention_softcap", count(1e6),
                                           "Scores become cap tanh(score / cap); 0 is off."),
      in<&S::model, &M::final_softcap>("/model/final_softcap", count(1e6),
                                       "Logits become cap tanh(logit / cap); 0 is off."),
      in<&S::model, &M::qk_norm>(
          "/model/qk_norm", "Norm on queries and keys: per_head shares one weight among heads, full has one each."),
      in<&S::model, &M::sliding_window>("/model/sliding_window", count(max_count),
                                        "Keys that a position sees in a local layer, itself included; 0 is off."),
      in<&S::model, &M::global_layer_every>(
          "/model/global_layer_every", count(max_layers),
          "Of each so many layers the last sees all keys; 0 leaves every layer local when there is a window."),
      in<&S::model, &M::embedding_scale>("/model/embedding_scale", above_zero(1e6),
                                         "Factor on the token embedding (Gemma: sqrt(hidden_size))."),
      in<&S::model, &M::residual_dropout>("/model/residual_dropout", fraction,
                                          "Dropout on the outputs of attention and MLP; above 0 it costs masks."),
      in<&S::model, &M::attention_dropout>("/model/attention_dropout", fraction,
                                           "Dropout on the attention probabilities; above 0 it costs masks."),
      in<&S::model, &M::embedding_dropout>("/model/embedding_dropout", fraction,
                                           "Dropout on the embeddings; above 0 it costs a mask."),
      in<&S::model, &M::source>("/model/source", "Where the figures come from."),
      in<&S::model, &M::notes>("/model/notes", "What is not sure, or not in the figures."),
  };
}

}  // namespace field_rows
}  // namespace dtcalc
