// The structure: a graph lowered to the kernels of a software stack, with every tensor's storage decided.
//
// It depends on discrete choices only and is cached; numbers enter in evaluate/. The ledger sums it, the engine
// executes it: both walk the same kernels over the same buffers.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "costmodel/graph/graph.hpp"
#include "costmodel/lower/contract.hpp"

namespace dtcalc {

using ExtentId = std::uint16_t;

/// Bytes that a kernel moves: one operand.
struct Traffic {
  ExtentId extent;
  Width width;
  std::uint8_t reads, writes;
  friend bool operator==(const Traffic&, const Traffic&) = default;
};

/// One kernel of a program.
struct Kernel {
  Contract contract;
  std::uint16_t group = 0;
  std::uint8_t site = 0;      ///< dropout site
  bool accumulate = false;    ///< the first output is added to what is there
  bool replay = false;        ///< recomputation of a forward kernel
  bool masks_scores = false;  ///< softmax kernels: scale, mask and dropout happen here too
  bool drops = false;         ///< dropout happens here
  bool joined = false;        ///< part of an earlier kernel of the same launch (join.hpp): costs no start of its own
  std::uint8_t more_launches = 0;  ///< kernels beside the first that the stack starts for it (eager.hpp)
  bool local = false;              ///< fused attention under the sliding window
  bool block_weight = false;       ///< a product with a weight of a block: runs in fp8 where the precision says so
  bool casts_apart = false;        ///< its operands are fp8 copies that kernels of their own make (Contract::cast_fp8)
  std::array<TensorId, 10> operands{kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  ExtentId m = 0, n = 0, k = 0, batch = 0;  ///< of a product
  ExtentId flop = 0;                        ///< executed FLOPs (values[0] is 0 for none)
  ExtentId elements = 0;                    ///< trips of a loop kernel; of a collective the whole tensor
  Axis axis = Axis::tensor;                 ///< of a collective
  std::string_view law;                     ///< name under which `dtcalc measure` times this kernel (law_name)
  LawId law_id = kNoLaw;                    ///< of `law`
  std::uint16_t traffic_begin = 0, traffic_end = 0;
  std::uint16_t price = 0;  ///< index into Structure::distinct of the first kernel that costs the same
};

enum class Phase : std::uint8_t { forward, recompute, backward, optimizer };

/// The unit of comparison between prediction and measurement, named after its heaviest operator.
struct Group {
  Name name;
  Phase phase;
  std::vector<Name> covers;
};

enum class Region : std::uint8_t {
  none,       ///< inside a kernel: no memory
  parameter,  ///< persistent; `index` into the segment's parameters
  gradient,   ///< persistent; of parameter `index`
  input,      ///< 0 tokens, 1 targets
  saved,      ///< kept from the forward to the backward pass; `index` into the segment's saved buffers
  boundary,   ///< handed to the next segment: 0 residual, 1 delta
  boundary_gradient,
  scratch,  ///< alive within one program; `index` into the program's buffers
};

struct Location {
  Region region = Region::none;
  std::int16_t index = 0;
};

/// Storage inside a program: alive from kernel `first` to kernel `last`, both included.
struct Buffer {
  TensorId tensor;  ///< the one that gives the extent and the name
  ExtentId extent;
  Width width;
  std::int16_t first = 0, last = 0;
  bool copies_logits = false;  ///< counts as logits whatever its width (eager.hpp)
};

/// A list of kernels over one segment.
struct Program {
  std::vector<Kernel> kernels;
  std::vector<Group> groups;
  std::vector<Traffic> traffic;
  std::vector<Buffer> scratch;
  std::int16_t placed_as = -1;     ///< index into Structure::blocks of an earlier block whose scratch lies alike, or -1
  std::vector<Location> location;  ///< per tensor
};

struct ParameterTensor {
  TensorId tensor;
  ExtentId extent;
  ExtentId columns;  ///< last dimension of a matrix; extents[0] for vectors
  Name name;
  const char* suffix;
  bool trained;
  bool packed;     ///< stored in 8 or 4 bits
  bool tied;       ///< storage and count belong to the prologue's table
  bool embedding;  ///< token or position table, or the head's matrix
};

struct SavedTensor {
  TensorId tensor;
  ExtentId extent;
  Width width;
};

/// Token ids, targets, pixels: what a segment is given from outside.
struct InputTensor {
  ExtentId extent;
  Width width;
};

struct ModelFlop {
  ExtentId extent;
  bool backward;
};

struct LoweredSegment {
  std::vector<Tensor> tensors;
  std::vector<ParameterTensor> parameters;
  std::vector<SavedTensor> saved;
  std::vector<InputTensor> inputs;
  std::vector<ModelFlop> model_flop;  ///< one row per product of the logical graph
  Program forward, backward;          ///< the epilogue runs both as `forward`
  TensorId residual_in = kNone, delta_in = kNone, residual_out = kNone, delta_out = kNone;
  TensorId gradient_in = kNone, gradient_out = kNone;
  bool input_saved = false;  ///< residual_in is needed by the backward pass and lies in this segment's slot
  bool local = false;
};

/// A kernel's place.
struct KernelRef {
  std::int16_t segment;  ///< as segment_of counts
  std::uint16_t kernel;
  bool backward;
};
inline constexpr int kMaxDistinctKernels = 512;

struct Structure {
  Choices choices;
  std::vector<Extent> extents;  ///< extents[0] has factor 0
  LoweredSegment prologue, epilogue;
  std::vector<LoweredSegment> blocks;
  std::vector<KernelRef> distinct;  ///< kernels that differ in cost (distinct.hpp)
  bool residual_boundary = false;   ///< some border's residual lies in the boundary buffer, not in a slot
  bool delta_boundary = false;
  bool gradient_boundary = false;
};

/// Prologue, kinds of blocks, epilogue: the order of everything that is kept per segment.
inline int segments_in(const Structure& structure) { return static_cast<int>(structure.blocks.size()) + 2; }
template <class S>  // Structure or const Structure
auto& segment_of(S& structure, int i) {
  const int kinds = static_cast<int>(structure.blocks.size());
  return i == 0       ? structure.prologue
         : i <= kinds ? structure.blocks[static_cast<std::size_t>(i - 1)]
                      : structure.epilogue;
}
inline const Program& program_of(const Structure& structure, const KernelRef& ref) {
  const LoweredSegment& segment = segment_of(structure, ref.segment);
  return ref.backward ? segment.backward : segment.forward;
}

/// Lowers the graph of `choices`: partitions operators into groups and kernels by the software stack's facts, plans
/// recomputation, decides storage. A pure function.
Structure make_structure(const Choices& choices);

/// make_structure behind a cache keyed by the choices; thread-safe. The reference stays valid
/// (and does not refer to the argument: by value, so that no compiler suspects it).
const Structure& cached_structure(Choices choices);

}  // namespace dtcalc
