// The backward pass of attention on Hopper's tensor cores: Algorithm 3 with E06, five products in one pass whose blocks
// own keys and visit queries. Included by attention_hopper_*.cu.
//
// A block owns 128 keys, each of two consumers 64 of them. For every tile of queries:
//   S^T = K Q^T, dP^T = V dO^T                 of the consumer's own keys
//   P = e^(logit - log_sum_exp), dS = P (dP - along)
//   dV += P^T dO, dK += dS^T Q                 left operands in registers
//   dQ' = dS K                                 of all 128 keys: dS passes through shared memory; a consumer makes half
// dQ is the sum of dQ' over the blocks of a head, in float, in memory, added by the copy engine in the order of the
// keys: block n waits until n blocks have added to a tile. As blocks visit queries in ascending order and those with
// lower keys are dealt earlier, each follows the one before it a tile behind, and the bits do not depend on who is
// fastest. The first block stores, so nothing needs to be cleared but the counts.
//
// Where keys and kv heads are too few to occupy the device, the query heads of a kv head are dealt to several blocks
// ("parts"), whose dK and dV are added up afterwards, in order.
//
// Floats in memory lie as the consumers' registers hold them: fragments of 64 x 64, (8, thread, 4).
#pragma once

#include "kernels/attention_hopper.cuh"
#include "kernels/attention_hopper.hpp"
#include "kernels/packet.cuh"

namespace dtcalc::cuda {

template <int H>
struct HopperBackwardTile {
  static constexpr int consumers = 2, owned = owned_rows * consumers;
  static_assert(owned == hopper_backward_keys);
  static constexpr int visited = static_cast<int>(hopper_backward_queries(H));  ///< a tile of dQ is 8192 floats
  static constexpr int stages = 2;
  static constexpr int threads = warpgroup_size * (consumers + 1);
  static constexpr int producer_registers = 24, consumer_registers = 240;
  static constexpr int own_bytes = owned_rows * H * 2, visited_bytes = visited * H * 2;
  static constexpr int stage_bytes = 2 * visited_bytes, statistics_bytes = 2 * visited * 4;
  static constexpr int score_bytes = owned * visited * 2;  ///< dS, in two buffers
  static constexpr int sum_elements = visited * H, sum_bytes = sum_elements * 4;
  static constexpr int barriers = 2 + 4 + 2 * stages;
  static constexpr int shared_bytes = 2 * consumers * own_bytes + stages * (stage_bytes + statistics_bytes) +
                                      2 * score_bytes + 2 * sum_bytes + 8 * barriers;
};

struct HopperBackward {
  CUtensorMap k, v, q, dout, dk, dv;  ///< boxes of 64 keys, of `visited` queries
  Attention a;
  WorkOrder order;  ///< heads: parts times kv heads times batch; levels: of keys, in ascending order
  const float *log_sum_exp, *along;
  float* sums;       ///< (B, A, tiles, consumer) fragments
  unsigned* counts;  ///< (B, A, tiles): blocks that have added; zeros at first
  int tiles;         ///< of queries
  int parts;
  float *dk_parts, *dv_parts;  ///< unless parts is 1: (part, B, G, levels, consumer, H / 64) fragments
};

#if DTCALC_ON_SM90A
/// A consumer's 64 x H sums as fragments.
template <int H>
__device__ void store_fragments(float* to, const float (&sum)[H / 2], int thread) {
#pragma unroll
  for (int n = 0; n < H / 8; ++n)
    *reinterpret_cast<float4*>(to + (n * warpgroup_size + thread) * 4) =
        float4{sum[4 * n], sum[4 * n + 1], sum[4 * n + 2], sum[4 * n + 3]};
}
#endif

template <class T, int H>
__global__ void __launch_bounds__(HopperBackwardTile<H>::threads, 1)
    hopper_backward_kernel(const __grid_constant__ HopperBackward x) {
#if DTCALC_ON_SM90A
  using Tile = HopperBackwardTile<H>;
  constexpr int consumers = Tile::consumers, stages = Tile::stages, visited = Tile::visited;
  extern __shared__ __align__(1024) unsigned char memory[];
  const std::uint32_t own_at = shared_address(memory);  // K of all consumers, V of all consumers
  const std::uint32_t visited_at = own_at + 2 * consumers * Tile::own_bytes;
  const std::uint32_t score_at = visited_at + stages * Tile::stage_bytes;
  const std::uint32_t sum_at = score_at + 2 * Tile::score_bytes;
  const std::uint32_t statistics_at = sum_at + 2 * Tile::sum_bytes;  // of a stage: shifts, alongs
  const std::uint32_t own_full = statistics_at + stages * Tile::statistics_bytes, own_empty = own_full + 8;
  const std::uint32_t sum_full = own_empty + 8, sum_empty = sum_full + 16;
  const std::uint32_t full = sum_empty + 16, empty = full + 8 * stages;

  const Attention& a = x.a;
  const int warpgroup = __shfl_sync(0xFFFFFFFFU, static_cast<int>(threadIdx.x) / warpgroup_size, 0);
  const int thread = static_cast<int>(threadIdx.x) % warpgroup_size, warp = thread / 32, lane = thread % 32;
  if (threadIdx.x == 0) {
    barrier_make(own_full, 1);
    barrier_make(own_empty, 4 * consumers);
    for (int i = 0; i < 2; ++i) {
      barrier_make(sum_full + 8 * i, 4 * consumers);
      barrier_make(sum_empty + 8 * i, 1);
    }
    for (int i = 0; i < stages; ++i) {
      barrier_make(full + 8 * i, 2);  // the copies; the statistics
      barrier_make(empty + 8 * i, 4 * consumers);
    }
    barriers_publish();
  }
  __syncthreads();

  const int group = a.group / x.parts;  // query heads of a part
  struct Piece {
    int part, kv_head, batch, level, first, head, begin, count, visits;  ///< tiles [begin, begin + count) of each head
    __device__ int tile(int visit) const { return begin + visit % count; }
    __device__ int head_of(int visit) const { return head + visit / count; }
  };
  const auto piece_of = [&](int index) {
    const WorkOrder::Piece work = x.order.piece(index);
    const int part = work.head % x.parts, kv_head = work.head / x.parts % a.kv_heads;
    const int first = work.level * Tile::owned, begin = a.first_query(first) / visited, count = x.tiles - begin;
    return Piece{part,       kv_head, work.head / x.parts / a.kv_heads,
                 work.level, first,   kv_head * a.group + part * group,
                 begin,      count,   count * group};
  };

  if (warpgroup == 0) {
    registers_shrink<Tile::producer_registers>();
    Ring<stages> ring;
    Ring<1> own;
    if (thread == 0) {
      for (int turn = 0; turn < x.order.turns(); ++turn) {
        const int index = x.order.index(turn);
        if (index >= x.order.count()) continue;
        const Piece piece = piece_of(index);
        barrier_wait(own_empty, own.parity ^ 1);
        barrier_expect(own_full, 2 * consumers * Tile::own_bytes);
        for (int i = 0; i < consumers; ++i) {
          const int row = piece.first + owned_rows * i;
          const std::uint32_t to = own_at + i * Tile::own_bytes;
          load_panels<H, owned_rows>(to, x.k, own_full, piece.kv_head, row, piece.batch);
          load_panels<H, owned_rows>(to + consumers * Tile::own_bytes, x.v, own_full, piece.kv_head, row, piece.batch);
        }
        own.next();
        for (int visit = 0; visit < piece.visits; ++visit) {
          const int head = piece.head_of(visit), row = piece.tile(visit) * visited;
          const std::uint32_t to = visited_at + ring.slot * Tile::stage_bytes;
          barrier_wait(empty + 8 * ring.slot, ring.parity ^ 1);
          barrier_expect(full + 8 * ring.slot, Tile::stage_bytes);
          load_panels<H, visited>(to, x.q, full + 8 * ring.slot, head, row, piece.batch);
          load_panels<H, visited>(to + Tile::visited_bytes, x.dout, full + 8 * ring.slot, head, row, piece.batch);
          ring.next();
        }
      }
    } else if (warp == 1) {
      for (int turn = 0; turn < x.order.turns(); ++turn) {
        const int index = x.order.index(turn);
        if (index >= x.order.count()) continue;
        const Piece piece = piece_of(index);
        for (int visit = 0; visit < piece.visits; ++visit) {
          constexpr int each = visited / 32;
          float shift[each], along[each];
          const std::int64_t at = a.statistics(piece.batch, piece.head_of(visit));
#pragma unroll
          for (int i = 0; i < each; ++i) {
            // A query that does not exist or sees nothing has probability 0 everywhere: e^(x - infinity).
            const int query = piece.tile(visit) * visited + 32 * i + lane;
            const bool exists = query < a.queries;
            const float of_row = exists ? x.log_sum_exp[at + query] : -INFINITY;
            shift[i] = of_row == -INFINITY ? INFINITY : of_row * log2_e;
            along[i] = exists ? x.along[at + query] : 0.0F;
          }
          barrier_wait(empty + 8 * ring.slot, ring.parity ^ 1);
          const std::uint32_t to = statistics_at + ring.slot * Tile::statistics_bytes + lane * 4;
#pragma unroll
          for (int i = 0; i < each; ++i) {
            asm volatile("st.shared.f32 [%0], %1;\n" ::"r"(to + i * 128), "f"(shift[i]) : "memory");
            asm volatile("st.shared.f32 [%0], %1;\n" ::"r"(to + visited * 4 + i * 128), "f"(along[i]) : "memory");
          }
          __syncwarp();
          if (lane == 0) barrier_arrive(full + 8 * ring.slot);
          ring.next();
        }
      }
    } else if (lane == 0) {  // two warps, one for either buffer of sums
      const int buffer = warp - 2;
      const std::uint32_t from = sum_at + buffer * Tile::sum_bytes;
      int parity = 0, count = 0;
      for (int turn = 0; turn < x.order.turns(); ++turn) {
        const int index = x.order.index(turn);
        if (index >= x.order.count()) continue;
        const Piece piece = piece_of(index);
        for (int visit = 0; visit < piece.visits; ++visit) {
          if (count++ % 2 != buffer) continue;
          const std::int64_t tile =
              (std::int64_t{piece.batch} * a.heads + piece.head_of(visit)) * x.tiles + piece.tile(visit);
          float* const to = x.sums + tile * Tile::sum_elements;
          barrier_wait(sum_full + 8 * buffer, parity);
          parity ^= 1;
          if (piece.level == 0) {
            bulk_store(to, from, Tile::sum_bytes);
          } else {
            count_wait(x.counts + tile, static_cast<unsigned>(piece.level));
            bulk_add(to, from, Tile::sum_bytes);
          }
          stores_commit();
          stores_wait_read<0>();
          barrier_arrive(sum_empty + 8 * buffer);
          stores_wait();
          count_up(x.counts + tile);
        }
      }
    }
    return;
  }

  registers_grow<Tile::consumer_registers>();
  const int me = warpgroup - 1, t = lane % 4;
  constexpr int own_barrier = 1, all_barrier = own_barrier + consumers, all_threads = consumers * warpgroup_size;
  const std::uint32_t k_at = own_at + me * Tile::own_bytes, v_at = k_at + consumers * Tile::own_bytes;
  const std::uint64_t k_panel = panel_along(k_at), v_panel = panel_along(v_at);
  const std::uint64_t y_along = panel_along(visited_at), y_across = panel_across<visited * panel_row_bytes>(visited_at);
  // Of dQ' this consumer makes queries [64 me, 64 me + 64) with heads of 64, columns [64 me, 64 me + 64) with 128.
  constexpr int score_panel = Tile::owned * panel_row_bytes, own_panel = owned_rows * panel_row_bytes;
  const std::uint64_t score_across = panel_across<score_panel>(score_at + (H == 64 ? me * score_panel : 0));
  const std::uint64_t k_across = panel_across<own_panel>(own_at + (H == 64 ? 0 : me * own_panel));
  const std::uint32_t score_row = score_at + (me * owned_rows + warp * 16 + lane % 16) * panel_row_bytes;
  const std::uint32_t sum_to = sum_at + me * (Tile::sum_bytes / consumers) + thread * 16;
  const auto release = [&](std::uint32_t barrier) {
    __syncwarp();
    if (lane == 0) barrier_arrive(barrier);
  };
  const float to_exponent = a.scale * log2_e;
  const float scale[2] = {a.scale, a.scale}, one[2] = {1, 1};

  float of_v[H / 2], of_k[H / 2];

  // C = X Y^T; `y_at`: of Y within the stage.
  const auto multiply = [&](float(&c)[visited / 2], std::uint64_t x_panel, int slot, int y_at) {
#pragma unroll
    for (int step = 0; step < H / 16; ++step) {
      const int x_step = (step / 4 * own_panel + step % 4 * 32) >> 4;
      const int y_step = (step / 4 * visited * panel_row_bytes + step % 4 * 32) >> 4;
      Product<T, visited>::template of_shared<false, false>(
          c, x_panel + x_step, y_along + ((slot * Tile::stage_bytes + y_at) >> 4) + y_step, step != 0);
    }
    products_commit();
  };
  // sum += C Y, C rounded in registers.
  const auto accumulate = [&](float(&sum)[H / 2], const std::uint32_t(&c)[visited / 16][4], int slot, int y_at) {
#pragma unroll
    for (int step = 0; step < visited / 16; ++step)
      Product<T, H>::template of_registers<true>(
          sum, c[step], y_across + ((slot * Tile::stage_bytes + y_at) >> 4) + (step * 16 * panel_row_bytes >> 4), true);
    products_commit();
  };
  const auto rounded = [&](std::uint32_t(&to)[visited / 16][4], const float(&c)[visited / 2]) {
#pragma unroll
    for (int step = 0; step < visited / 16; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i) to[step][i] = pack<T>(c[8 * step + 2 * i], c[8 * step + 2 * i + 1]);
  };

  Ring<1> own;
  Ring<2> sum;
  Ring<stages> ring;
  int buffer = 0;
  for (int turn = 0; turn < x.order.turns(); ++turn) {
    const int index = x.order.index(turn);
    if (index >= x.order.count()) continue;
    const Piece piece = piece_of(index);
    const int own_first = piece.first + owned_rows * me, row = own_first + warp * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < H / 2; ++i) of_v[i] = of_k[i] = 0;
    barrier_wait(own_full, own.parity);
    own.next();
    std::uint32_t p[visited / 16][4] = {}, ds[visited / 16][4] = {};
    int tile = piece.begin;
    for (int visit = 0; visit < piece.visits; ++visit) {
      float s[visited / 2], d[visited / 2];
      const int slot = ring.slot, query0 = tile * visited;
      if (++tile == x.tiles) tile = piece.begin;
      barrier_wait(full + 8 * slot, ring.parity);
      ring.next();
      products_fence();
      multiply(s, k_panel, slot, 0);
      multiply(d, v_panel, slot, Tile::visited_bytes);
      products_wait<1>();
      pin(s);

      const std::uint32_t shifts = statistics_at + slot * Tile::statistics_bytes + t * 8;
#pragma unroll
      for (int n = 0; n < visited / 8; ++n) {
        float2 shift;
        asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];\n" : "=f"(shift.x), "=f"(shift.y) : "r"(shifts + n * 32));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float* const pair = s + 4 * n + 2 * half;
          pair[0] = fast_exp2(pair[0] * to_exponent - shift.x);
          pair[1] = fast_exp2(pair[1] * to_exponent - shift.y);
        }
      }
      if (!a.all_visible(query0, query0 + visited, own_first, own_first + owned_rows)) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const Columns seen = a.queries_of(row + 8 * half, query0);
#pragma unroll
          for (int n = 0; n < visited / 8; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i)
              if (!seen.has(8 * n + 2 * t + i)) s[4 * n + 2 * half + i] = 0;
        }
      }

      products_wait<0>();
      pin(d);
      rounded(p, s);
#pragma unroll
      for (int n = 0; n < visited / 8; ++n) {
        float2 along;
        asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];\n"
                     : "=f"(along.x), "=f"(along.y)
                     : "r"(shifts + visited * 4 + n * 32));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int at = 4 * n + 2 * half;
          d[at] = s[at] * (d[at] - along.x);
          d[at + 1] = s[at + 1] * (d[at + 1] - along.y);
        }
      }
      rounded(ds, d);
      // The two buffers take turns: who writes one has passed the barrier that all readers of its last use came to.
#pragma unroll
      for (int step = 0; step < visited / 16; ++step)
        store_matrices(score_row + buffer * Tile::score_bytes + step / 4 * score_panel +
                           (((2 * (step % 4) + lane / 16) ^ (lane & 7)) * 16),
                       ds[step]);
      fence_to_engines();
      named_wait(all_barrier, all_threads);

      float dq[32];
      products_fence();
      accumulate(of_v, p, slot, Tile::visited_bytes);
#pragma unroll
      for (int step = 0; step < Tile::owned / 16; ++step)
        Product<T, 64>::template of_shared<true, true>(
            dq, score_across + ((buffer * Tile::score_bytes + step * 16 * panel_row_bytes) >> 4),
            k_across + ((step / 4 * Tile::own_bytes + step % 4 * 16 * panel_row_bytes) >> 4), step != 0);
      products_commit();
      accumulate(of_k, ds, slot, 0);
      buffer ^= 1;
      products_wait<1>();
      pin(dq);
      pin(p);
      if (visit == 0) {  // dV and dK of the piece before have left
        if (thread == 0) stores_wait_read<0>();
        named_wait(own_barrier + me, warpgroup_size);
      }
      barrier_wait(sum_empty + 8 * sum.slot, sum.parity ^ 1);
      const std::uint32_t to = sum_to + sum.slot * Tile::sum_bytes;
#pragma unroll
      for (int n = 0; n < 8; ++n)
        asm volatile("st.shared.v4.f32 [%0], {%1, %2, %3, %4};\n" ::"r"(to + n * warpgroup_size * 16), "f"(dq[4 * n]),
                     "f"(dq[4 * n + 1]), "f"(dq[4 * n + 2]), "f"(dq[4 * n + 3])
                     : "memory");
      fence_to_engines();
      release(sum_full + 8 * sum.slot);
      sum.next();
      products_wait<0>();
      pin(ds);
      release(empty + 8 * slot);
    }
    pin(of_v);
    pin(of_k);

    release(own_empty);
    if (x.parts > 1) {
      const std::int64_t fragments =
          ((std::int64_t{piece.part} * x.order.heads / x.parts + piece.batch * a.kv_heads + piece.kv_head) *
               x.order.levels +
           piece.level) *
              consumers +
          me;
      store_fragments<H>(x.dv_parts + fragments * owned_rows * H, of_v, thread);
      store_fragments<H>(x.dk_parts + fragments * owned_rows * H, of_k, thread);
      continue;
    }
    Ring<2> last = sum;  // both buffers have been read
    for (int i = 0; i < 2; ++i, last.next()) barrier_wait(sum_empty + 8 * last.slot, last.parity ^ 1);
    const std::uint32_t staging = sum_at + me * (Tile::sum_bytes / consumers);
    store_rows<T, H, 1>(of_v, one, staging, own_barrier + me, x.dv, piece.kv_head, own_first, piece.batch);
    store_rows<T, H, 1>(of_k, scale, staging + Tile::sum_bytes, own_barrier + me, x.dk, piece.kv_head, own_first,
                        piece.batch);
  }
  if (thread == 0) stores_wait();
#endif
}

/// to (B, rows, heads, H) = factor times the sum of the parts, (part, B, heads, blocks, H / 64) fragments, rounded;
/// rows before `first` are 0. A thread makes 8 columns of two rows.
template <class T, int H>
__global__ void hopper_fragments_kernel(std::int64_t threads, int rows, int heads, int blocks, int first, int parts,
                                        float factor, const float* from, T* to) {
  constexpr int panels = H / 64, per_fragment = 256;
  const std::int64_t index = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index >= threads) return;
  const std::int64_t fragment = index / per_fragment, of_head = fragment / panels / blocks;
  const int n = static_cast<int>(index % 8), pair = static_cast<int>(index / 8 % 32);
  const int panel = static_cast<int>(fragment % panels), block = static_cast<int>(fragment / panels % blocks);
  const int head = static_cast<int>(of_head % heads), batch = static_cast<int>(of_head / heads);

  float sum[2][8] = {};
  for (int part = 0; part < parts; ++part) {
    const float4* const at = reinterpret_cast<const float4*>(from) +
                             ((part * (threads / per_fragment) + fragment) * 8 + n) * warpgroup_size + pair * 4;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const float4 four = at[t];
      sum[0][2 * t] += four.x, sum[0][2 * t + 1] += four.y;
      sum[1][2 * t] += four.z, sum[1][2 * t + 1] += four.w;
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int row = block * 64 + pair / 8 * 16 + pair % 8 + 8 * half;
    Packet<T, 8> packet;
#pragma unroll
    for (int i = 0; i < 8; ++i) packet.set(i, row < first ? 0.0F : sum[half][i] * factor);
    if (row < rows) store(to + ((std::int64_t{batch} * rows + row) * heads + head) * H + panel * 64 + 8 * n, packet);
  }
}

}  // namespace dtcalc::cuda
