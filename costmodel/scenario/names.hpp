// The JSON spelling of every enumerator in types.hpp: one table per type, in enumerator order.
//
// Used by the field table (choices, reading, writing), and by whoever prints a choice.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string_view>

#include "costmodel/scenario/types.hpp"

namespace dtcalc {

/// `EnumNames<E>::list` holds the names of E's enumerators in order; `EnumNames<E>::last` is the last enumerator.
template <class E>
struct EnumNames;

template <class E>
concept NamedEnum = requires {
  { EnumNames<E>::last } -> std::convertible_to<E>;
};

template <>
struct EnumNames<Dtype> {
  static constexpr auto last = Dtype::fp4;
  static constexpr std::array<std::string_view, 7> list{"fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "fp4"};
};
template <>
struct EnumNames<Position> {
  static constexpr auto last = Position::alibi;
  static constexpr std::array<std::string_view, 4> list{"none", "learned", "rope", "alibi"};
};
template <>
struct EnumNames<Norm> {
  static constexpr auto last = Norm::rms_norm;
  static constexpr std::array<std::string_view, 2> list{"layer_norm", "rms_norm"};
};
template <>
struct EnumNames<NormPlacement> {
  static constexpr auto last = NormPlacement::sandwich;
  static constexpr std::array<std::string_view, 3> list{"pre", "post", "sandwich"};
};
template <>
struct EnumNames<BlockForm> {
  static constexpr auto last = BlockForm::parallel;
  static constexpr std::array<std::string_view, 2> list{"serial", "parallel"};
};
template <>
struct EnumNames<Activation> {
  static constexpr auto last = Activation::silu;
  static constexpr std::array<std::string_view, 6> list{"gelu", "gelu_tanh", "relu", "tanh", "sigmoid", "silu"};
};
template <>
struct EnumNames<AttentionScale> {
  static constexpr auto last = AttentionScale::given;
  static constexpr std::array<std::string_view, 3> list{"inverse_sqrt_head_size", "inverse_head_size", "given"};
};
template <>
struct EnumNames<RopePairing> {
  static constexpr auto last = RopePairing::halves;
  static constexpr std::array<std::string_view, 2> list{"neighbours", "halves"};
};
template <>
struct EnumNames<RopeScaling> {
  static constexpr auto last = RopeScaling::longrope;
  static constexpr std::array<std::string_view, 6> list{"none", "linear", "dynamic", "llama3", "yarn", "longrope"};
};
template <>
struct EnumNames<QkNorm> {
  static constexpr auto last = QkNorm::full;
  static constexpr std::array<std::string_view, 3> list{"none", "per_head", "full"};
};
template <>
struct EnumNames<ModelInput> {
  static constexpr auto last = ModelInput::image;
  static constexpr std::array<std::string_view, 2> list{"tokens", "image"};
};
template <>
struct EnumNames<Head> {
  static constexpr auto last = Head::value;
  static constexpr std::array<std::string_view, 5> list{"language", "classes", "contrast", "reward", "value"};
};
template <>
struct EnumNames<Method> {
  static constexpr auto last = Method::ppo;
  static constexpr std::array<std::string_view, 4> list{"supervised", "reward", "dpo", "ppo"};
};
template <>
struct EnumNames<Precision> {
  static constexpr auto last = Precision::bf16_fsdp;
  static constexpr std::array<std::string_view, 11> list{"fp32",
                                                         "tf32",
                                                         "bf16_mixed",
                                                         "fp16_mixed",
                                                         "bf16_mixed_low_gradients",
                                                         "fp16_mixed_low_gradients",
                                                         "bf16_autocast",
                                                         "fp16_autocast",
                                                         "fp64",
                                                         "fp8_mixed",
                                                         "bf16_fsdp"};
};
template <>
struct EnumNames<Recompute> {
  static constexpr auto last = Recompute::per_operator;
  static constexpr std::array<std::string_view, 4> list{"none", "selective", "full", "per_operator"};
};
template <>
struct EnumNames<AttentionKernel> {
  static constexpr auto last = AttentionKernel::flash;
  static constexpr std::array<std::string_view, 3> list{"automatic", "naive", "flash"};
};
template <>
struct EnumNames<PipelineSchedule> {
  static constexpr auto last = PipelineSchedule::zero_bubble;
  static constexpr std::array<std::string_view, 4> list{"gpipe", "1f1b", "interleaved", "zero_bubble"};
};
template <>
struct EnumNames<ContextSharding> {
  static constexpr auto last = ContextSharding::zigzag;
  static constexpr std::array<std::string_view, 3> list{"naive", "striped", "zigzag"};
};
template <>
struct EnumNames<FlashKernel> {
  static constexpr auto last = FlashKernel::cudnn;
  static constexpr std::array<std::string_view, 5> list{"flash_1", "triton", "flash_2", "flash_3", "cudnn"};
};
template <>
struct EnumNames<Allocator> {
  static constexpr auto last = Allocator::pytorch_expandable;
  static constexpr std::array<std::string_view, 3> list{"none", "pytorch", "pytorch_expandable"};
};
template <>
struct EnumNames<GpuArchitecture> {
  static constexpr auto last = GpuArchitecture::blackwell;
  static constexpr std::array<std::string_view, 6> list{"other", "volta", "ampere", "ada", "hopper", "blackwell"};
};
template <>
struct EnumNames<Optimizer> {
  static constexpr auto last = Optimizer::adam8bit;
  static constexpr std::array<std::string_view, 4> list{"sgd", "momentum", "adamw", "adam8bit"};
};
template <>
struct EnumNames<CausalFlop> {
  static constexpr auto last = CausalFlop::half;
  static constexpr std::array<std::string_view, 2> list{"full", "half"};
};
template <>
struct EnumNames<Origin> {
  static constexpr auto last = Origin::measured;
  static constexpr std::array<std::string_view, 4> list{"datasheet", "analytic", "calibrated", "measured"};
};

/// `name_of(Norm::rms_norm)` is "rms_norm".
template <NamedEnum E>
constexpr std::string_view name_of(E value) {
  static_assert(EnumNames<E>::list.size() == static_cast<std::size_t>(EnumNames<E>::last) + 1);
  return EnumNames<E>::list.at(static_cast<std::size_t>(value));
}

/// The enumerator with that name, or nothing.
template <NamedEnum E>
constexpr std::optional<E> from_name(std::string_view name) {
  for (std::size_t i = 0; i < EnumNames<E>::list.size(); ++i)
    if (EnumNames<E>::list[i] == name) return static_cast<E>(i);
  return std::nullopt;
}

/// The arithmetic that a training precision needs of a device.
constexpr Dtype compute_dtype(Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return Dtype::fp32;
    case Precision::tf32:
      return Dtype::tf32;
    case Precision::bf16_mixed:
    case Precision::bf16_mixed_low_gradients:
    case Precision::bf16_autocast:
    case Precision::bf16_fsdp:
    case Precision::fp8_mixed:  // attention and the head; `check` asks for fp8 beside it
      return Dtype::bf16;
    case Precision::fp16_mixed:
    case Precision::fp16_mixed_low_gradients:
    case Precision::fp16_autocast:
      return Dtype::fp16;
    case Precision::fp64:
      return Dtype::fp64;
  }
  return Dtype::fp32;
}

}  // namespace dtcalc
