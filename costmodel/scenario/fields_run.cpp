// The keys of the sections `training` and `inference`, and those outside of sections.
#include "costmodel/scenario/field_rows.hpp"

namespace dtcalc {

namespace field_rows {
namespace {

constexpr std::array<std::string_view, 7> adaptable{"query", "key", "value", "output", "gate", "up", "down"};

constexpr std::array<std::string_view, 11> parameter_groups{"query", "key",  "value",     "output",   "up",  "gate",
                                                            "down",  "norm", "embedding", "position", "head"};

}  // namespace

std::vector<Field> run() {
  using S = Scenario;
  using T = Training;
  using P = Parallel;
  using I = Inference;
  return {
      in<&S::training, &T::method>(
          "/training/method",
          "supervised: the model's own loss; reward and dpo: pairs of answers, so that batches "
          "count pairs; ppo: answers that the policy writes in every step."),
      in<&S::training, &T::prompt_tokens>("/training/prompt_tokens", count(max_count),
                                          "ppo: tokens of a sequence that are given; the policy writes the others.",
                                          "sequence / 2 for ppo", "tokens"),
      in<&S::training, &T::sequence>("/training/sequence", count(max_count), "Tokens of one training sequence [S].",
                                     "the model's max_sequence, else 2048", "tokens"),
      in<&S::training, &T::micro_batch>("/training/micro_batch", positive(max_count),
                                        "Sequences in one forward pass [B]; activations grow in proportion.", "",
                                        "sequences"),
      in<&S::training, &T::global_batch>(
          "/training/global_batch", count(max_count),
          "Sequences in one optimizer step on all devices, a multiple of micro_batch times the data-parallel replicas.",
          "micro_batch", "sequences"),
      in<&S::training, &T::precision>("/training/precision", "Which tensors are stored in which precision.",
                                      "bf16_mixed, else fp16_mixed, else fp32, as the device has it"),
      in<&S::training, &T::recompute>(
          "/training/recompute", "What the backward pass computes again instead of keeping: less memory, more time."),
      in<&S::training, &T::optimizer>("/training/optimizer",
                                      "Update rule: sgd keeps no state, momentum one tensor, adamw two, adam8bit two "
                                      "in 8 bits with a scale per 256 elements; tensors below 4096 stay wide."),
      in<&S::training, &T::causal_flop>(
          "/training/causal_flop", "Convention for model FLOPs of causal attention: the full square or half of it."),
      in<&S::training, &T::parallel, &P::tensor>(
          "/training/parallel/tensor", positive(1e6),
          "Devices that share the matrices of every block [T]; divides heads and mlp_size."),
      in<&S::training, &T::parallel, &P::sequence>(
          "/training/parallel/sequence",
          "Sequence parallelism: the tensor-parallel devices share the residual stream, norms and dropout as well."),
      in<&S::training, &T::parallel, &P::save_full_inputs>(
          "/training/parallel/save_full_inputs",
          "With sequence: keep the gathered inputs of matrix products for the backward pass, more memory, less "
          "communication."),
      in<&S::training, &T::parallel, &P::context>("/training/parallel/context", positive(1e6),
                                                  "Devices of a ring that share every sequence [R]."),
      in<&S::training, &T::parallel, &P::context_sharding>(
          "/training/parallel/context_sharding",
          "Which positions a device of the ring holds; decides how evenly the causal work is spread."),
      in<&S::training, &T::parallel, &P::pipeline>("/training/parallel/pipeline", positive(max_stages),
                                                   "Stages that the layers are cut into [P]."),
      in<&S::training, &T::parallel, &P::virtual_stages>(
          "/training/parallel/virtual_stages", positive(max_layers),
          "Chunks of layers per stage [v]: a smaller bubble, more transfers; above 1 needs the interleaved schedule."),
      in<&S::training, &T::parallel, &P::ends_count_as_layers>(
          "/training/parallel/ends_count_as_layers",
          "Embedding and head count as a layer each when layers are dealt to chunks, as with Megatron's "
          "account_for_embedding_in_pipeline_split and account_for_loss_in_pipeline_split."),
      in<&S::training, &T::parallel, &P::schedule>("/training/parallel/schedule",
                                                   "Order of forward and backward passes of a pipeline."),
      in<&S::training, &T::parallel, &P::zero>(
          "/training/parallel/zero", count(3),
          "ZeRO stage: data-parallel devices share 1 the optimizer's state, 2 also "
          "the gradients, 3 also the parameters."),
      word<&S::training, &T::frozen>("/training/frozen", parameter_groups,
                                     "Parameters that are not trained: no gradient, no optimizer state."),
      in<&S::training, &T::frozen_weights>(
          "/training/frozen_weights",
          "Stored precision of block matrices that are not trained: fp8 and fp4 stand for any format of 8 and 4 bits, "
          "which each product unpacks (QLoRA).",
          "as precision stores weights"),
      in<&S::training, &T::adapter, &Adapter::rank>(
          "/training/adapter/rank", count(max_width),
          "Rank of the low-rank adapters (LoRA); above 0 everything that the model had is frozen, but for a head of "
          "classes, rewards or values."),
      word<&S::training, &T::adapter, &Adapter::targets>("/training/adapter/targets", adaptable,
                                                         "Matrices of every block that get an adapter."),
      in<&S::training, &T::steps>("/training/steps", positive(1e9), "Optimizer steps of a run.", "", "steps"),
      in<&S::training, &T::warmup_steps>("/training/warmup_steps", count(1e9),
                                         "Steps over which the learning rate rises.", "", "steps"),
      in<&S::training, &T::learning_rate>("/training/learning_rate", above_zero(1e3), "Highest learning rate."),
      in<&S::training, &T::final_learning_rate>("/training/final_learning_rate", count(1e3),
                                                "Learning rate where the cosine ends."),
      in<&S::training, &T::beta1>("/training/beta1", fraction, "AdamW: decay of the first moment."),
      in<&S::training, &T::beta2>("/training/beta2", fraction, "AdamW: decay of the second moment."),
      in<&S::training, &T::epsilon>("/training/epsilon", above_zero(1),
                                    "AdamW: added to the root of the second moment."),
      in<&S::training, &T::momentum>("/training/momentum", fraction, "Decay of the momentum optimizer's state."),
      in<&S::training, &T::weight_decay>("/training/weight_decay", count(1e3), "Decoupled weight decay on matrices."),
      in<&S::training, &T::gradient_clip>("/training/gradient_clip", count(1e9),
                                          "Largest global norm of the gradient; 0 is off."),
      in<&S::training, &T::seed>("/training/seed", count(max_seed), "Start of every random stream of a run."),
      in<&S::inference, &I::batch>("/inference/batch", positive(max_count), "Sequences decoded together.", "",
                                   "sequences"),
      in<&S::inference, &I::prompt_tokens>("/inference/prompt_tokens", positive(max_count), "Tokens of a prompt.",
                                           "512, at most half of max_sequence", "tokens"),
      in<&S::inference, &I::new_tokens>("/inference/new_tokens", count(max_count), "Tokens generated per sequence.",
                                        "128, at most what max_sequence leaves", "tokens"),
      in<&S::inference, &I::precision>("/inference/precision", "Precision of matrix products and activations.",
                                       "bf16, else fp16, else fp32, as the device has it"),
      in<&S::inference, &I::weights>(
          "/inference/weights", "Stored precision of the weights: fp8 and fp4 stand for any format of 8 and 4 bits.",
          "precision"),
      in<&S::inference, &I::cache>("/inference/cache", "Stored precision of the cached keys and values.", "precision"),
      in<&S::inference, &I::tensor>("/inference/tensor", positive(1e6),
                                    "Devices that share one replica's matrices and heads [T]."),
      in<&S::inference, &I::beams>(
          "/inference/beams", positive(4096),
          "Hypotheses of a sequence: above 1 estimate adds what beam search costs beside plain "
          "decoding."),
      in<&S::inference, &I::draft, &Draft::model>(
          "/inference/draft/model",
          "Preset or file of a small model that drafts tokens: estimate adds what speculative decoding gains."),
      in<&S::inference, &I::draft, &Draft::acceptance>("/inference/draft/acceptance", {0, 1, false, false},
                                                       "Probability that a drafted token is accepted; above 0 with a "
                                                       "draft."),
      in<&S::attention>("/attention",
                        "naive stores the S x S scores, flash never does; automatic is the software profile's choice."),
  };
}

}  // namespace field_rows
}  // namespace dtcalc
