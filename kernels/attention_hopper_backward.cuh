// The backward pass of attention on Hopper's tensor cores: Algorithm 3 with E06, in two passes of one kernel, as
// attention_flash_backward.cuh has it. Included by attention_hopper_*.cu.
//
// A consumer owns 64 rows, keys in one pass and queries in the other, and visits tiles of the other kind:
//                 owner's X1, X2    visited Y1, Y2    S = X1 Y1^T    D = X2 Y2^T    sums
//   keys own      K, V              Q, dO             scores^T       dP^T           dV += P^T dO, dK += dS^T Q
//   queries own   Q, dO             K, V              scores         dP             dQ += dS K
// with P = e^(logit - log_sum_exp) and dS = P (dP - along), along = sum of dO · O per query; the scale is applied to
// the sums. P and dS go from accumulators to left operands within a thread's registers, so nothing but the operands
// passes through shared memory; in return scores are made twice: seven products, where five would need dS in shared
// memory and dQ summed in memory by blocks that wait for each other.
#pragma once

#include "kernels/attention_hopper.cuh"

namespace dtcalc::cuda {

template <int H, bool keys_own>
struct HopperBackwardTile {
  static constexpr int consumers = H == 64 && !keys_own ? 3 : 2;
  static constexpr int owned = owned_rows * consumers, visited = 64;
  /// X1 and X2 are kept in registers. For heads of 64 CUDA 13.0's ptxas gives P and dS their registers and so destroys
  /// them (seen in the SASS and in wrong results); for keys with heads of 128 the sums leave no room.
  static constexpr bool in_registers = H == 128 && !keys_own;
  /// The sums over one tile run while scores of the next are made; where the sums leave no room for that they do not.
  static constexpr bool overlapped = H == 64 || !keys_own;
  static constexpr int stages = H == 64 ? 4 : 3;
  static constexpr int threads = warpgroup_size * (consumers + 1);
  static constexpr int producer_registers = consumers == 3 ? 32 : 24;
  static constexpr int consumer_registers = consumers == 3 ? 160 : 240;
  static constexpr int results = keys_own ? 2 : 1;
  static constexpr int own_bytes = owned_rows * H * 2, visited_bytes = visited * H * 2;
  static constexpr int stage_bytes = 2 * visited_bytes, statistics_bytes = keys_own ? 2 * visited * 4 : 0;
  static constexpr int barriers = 2 + 2 * stages;
  static constexpr int shared_bytes =
      (2 + results) * consumers * own_bytes + stages * (stage_bytes + statistics_bytes) + 8 * barriers;
};

struct HopperBackward {
  CUtensorMap x1, x2, y1, y2, out1, out2;  ///< boxes of 64 rows; out1 is dV (unused when queries own), out2 dK or dQ
  Attention a;
  WorkOrder order;  ///< heads: batch times heads of the owners
  const float *log_sum_exp, *along;
};

template <class T, int H, bool keys_own>
__global__ void __launch_bounds__(HopperBackwardTile<H, keys_own>::threads, 1)
    hopper_backward_kernel(const __grid_constant__ HopperBackward x) {
#if DTCALC_ON_SM90A
  using Tile = HopperBackwardTile<H, keys_own>;
  constexpr int consumers = Tile::consumers, stages = Tile::stages, visited = Tile::visited;
  extern __shared__ __align__(1024) unsigned char memory[];
  const std::uint32_t own_at = shared_address(memory);  // X1 of all consumers, X2 of all consumers
  const std::uint32_t staging_at = own_at + 2 * consumers * Tile::own_bytes;
  const std::uint32_t visited_at = staging_at + Tile::results * consumers * Tile::own_bytes;
  const std::uint32_t statistics_at = visited_at + stages * Tile::stage_bytes;  // of a stage: shifts, alongs
  const std::uint32_t own_full = statistics_at + stages * Tile::statistics_bytes, own_empty = own_full + 8;
  const std::uint32_t full = own_empty + 8, empty = full + 8 * stages;

  const Attention& a = x.a;
  const int warpgroup = __shfl_sync(0xFFFFFFFFU, static_cast<int>(threadIdx.x) / warpgroup_size, 0);
  const int thread = static_cast<int>(threadIdx.x) % warpgroup_size, warp = thread / 32, lane = thread % 32;
  if (threadIdx.x == 0) {
    barrier_make(own_full, 1);
    barrier_make(own_empty, 4 * consumers);
    for (int i = 0; i < stages; ++i) {
      barrier_make(full + 8 * i, keys_own ? 2 : 1);  // the copies; the statistics
      barrier_make(empty + 8 * i, 4 * consumers);
    }
    barriers_publish();
  }
  __syncthreads();

  const int owners = keys_own ? a.kv_heads : a.heads, rows = keys_own ? a.keys : a.queries;
  struct Piece {
    int owner, batch, first, begin, count, visits;  ///< tiles [begin, begin + count), of each head of the group
    __device__ int tile(int visit) const { return begin + (keys_own ? visit % count : visit); }
    __device__ int head(int visit, int group) const { return keys_own ? owner * group + visit / count : owner / group; }
  };
  const auto piece_of = [&](int index) {
    const WorkOrder::Piece work = x.order.piece(index);
    const int first = (keys_own ? work.level : x.order.levels - 1 - work.level) * Tile::owned;
    const int last = min(first + Tile::owned, rows) - 1;
    const int begin = keys_own ? a.first_query(first) / visited : 0;
    const int end = ((keys_own ? a.queries : a.end_key(last)) + visited - 1) / visited;
    const int count = max(end - begin, 0);
    return Piece{work.head % owners, work.head / owners, first, begin, count, keys_own ? count * a.group : count};
  };

  if (warpgroup == 0) {
    registers_shrink<Tile::producer_registers>();
    Ring<stages> ring;
    if (thread == 0) {
      Ring<1> own;
      for (int turn = 0; turn < x.order.turns(); ++turn) {
        const int index = x.order.index(turn);
        if (index >= x.order.count()) continue;
        const Piece piece = piece_of(index);
        if (piece.visits == 0) continue;
        barrier_wait(own_empty, own.parity ^ 1);
        barrier_expect(own_full, 2 * consumers * Tile::own_bytes);
        for (int i = 0; i < consumers; ++i) {
          const int row = piece.first + owned_rows * i;
          const std::uint32_t to = own_at + i * Tile::own_bytes;
          load_panels<H, owned_rows>(to, x.x1, own_full, piece.owner, row, piece.batch);
          load_panels<H, owned_rows>(to + consumers * Tile::own_bytes, x.x2, own_full, piece.owner, row, piece.batch);
        }
        own.next();
        for (int visit = 0; visit < piece.visits; ++visit) {
          const int head = piece.head(visit, a.group), row = piece.tile(visit) * visited;
          const std::uint32_t to = visited_at + ring.slot * Tile::stage_bytes;
          barrier_wait(empty + 8 * ring.slot, ring.parity ^ 1);
          barrier_expect(full + 8 * ring.slot, Tile::stage_bytes);
          load_panels<H, visited>(to, x.y1, full + 8 * ring.slot, head, row, piece.batch);
          load_panels<H, visited>(to + Tile::visited_bytes, x.y2, full + 8 * ring.slot, head, row, piece.batch);
          ring.next();
        }
      }
    } else if (keys_own && warp == 1) {
      for (int turn = 0; turn < x.order.turns(); ++turn) {
        const int index = x.order.index(turn);
        if (index >= x.order.count()) continue;
        const Piece piece = piece_of(index);
        for (int visit = 0; visit < piece.visits; ++visit) {
          float shift[2], along[2];
          const std::int64_t at = a.statistics(piece.batch, piece.head(visit, a.group));
#pragma unroll
          for (int i = 0; i < 2; ++i) {
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
          for (int i = 0; i < 2; ++i) {
            asm volatile("st.shared.f32 [%0], %1;\n" ::"r"(to + i * 128), "f"(shift[i]) : "memory");
            asm volatile("st.shared.f32 [%0], %1;\n" ::"r"(to + visited * 4 + i * 128), "f"(along[i]) : "memory");
          }
          __syncwarp();
          if (lane == 0) barrier_arrive(full + 8 * ring.slot);
          ring.next();
        }
      }
    }
    return;
  }

  registers_grow<Tile::consumer_registers>();
  const int me = warpgroup - 1, t = lane % 4;
  constexpr int own_barrier = 1;
  const std::uint32_t x1_at = own_at + me * Tile::own_bytes, x2_at = x1_at + consumers * Tile::own_bytes;
  const std::uint64_t x1_panel = panel_along(x1_at), x2_panel = panel_along(x2_at);
  const std::uint64_t y_along = panel_along(visited_at), y_across = panel_across<visited * panel_row_bytes>(visited_at);
  const auto release = [&](std::uint32_t barrier) {
    __syncwarp();
    if (lane == 0) barrier_arrive(barrier);
  };
  const float to_exponent = a.scale * log2_e;
  const float scale[2] = {a.scale, a.scale}, one[2] = {1, 1};

  float sum1[keys_own ? H / 2 : 1], sum2[H / 2], s[visited / 2], d[visited / 2];
  constexpr int held = Tile::in_registers ? H / 16 : 1;
  std::uint32_t left1[held][4], left2[held][4];

  // C = X Y^T for one of the pairs; `y_at`: of Y within the stage.
  const auto multiply = [&](float(&c)[visited / 2], const std::uint32_t(&left)[held][4], std::uint64_t x_panel,
                            int slot, int y_at) {
#pragma unroll
    for (int step = 0; step < H / 16; ++step) {
      const int x_step = (step / 4 * owned_rows * panel_row_bytes + step % 4 * 32) >> 4;
      const int y_step = (step / 4 * visited * panel_row_bytes + step % 4 * 32) >> 4;
      const std::uint64_t y = y_along + ((slot * Tile::stage_bytes + y_at) >> 4) + y_step;
      if constexpr (Tile::in_registers) {
        Product<T, visited>::template of_registers<false>(c, left[step], y, step != 0);
      } else {
        Product<T, visited>::of_shared(c, x_panel + x_step, y, step != 0);
      }
    }
    products_commit();
  };
  const auto issue = [&](int slot) {
    products_fence();
    multiply(s, left1, x1_panel, slot, 0);
    multiply(d, left2, x2_panel, slot, Tile::visited_bytes);
  };
  // sum += C Y, C rounded in registers.
  const auto accumulate = [&](float(&sum)[H / 2], const std::uint32_t(&c)[visited / 16][4], int slot, int y_at) {
    products_fence();
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
  Ring<stages> ring;
  for (int turn = 0; turn < x.order.turns(); ++turn) {
    const int index = x.order.index(turn);
    if (index >= x.order.count()) continue;
    const Piece piece = piece_of(index);
    const int own_first = piece.first + owned_rows * me, own_last = min(own_first + owned_rows, rows) - 1;
    const bool any = own_first < rows;
    const int row = own_first + warp * 16 + lane / 4;
    // Of the block's tiles this consumer's rows need [own_begin, own_end).
    const int own_begin = !keys_own ? 0 : any ? a.first_query(own_first) / visited : 0x7FFFFFFF;
    const int own_end = keys_own ? 0x7FFFFFFF : any ? (a.end_key(own_last) + visited - 1) / visited : 0;

    float own_shift[2], own_along[2];
    if constexpr (!keys_own) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int query = row + 8 * half;
        const bool exists = query < a.queries;
        const std::int64_t at = a.statistics(piece.batch, piece.owner) + query;
        const float shift = exists ? x.log_sum_exp[at] : -INFINITY;
        own_shift[half] = shift == -INFINITY ? INFINITY : shift * log2_e;
        own_along[half] = exists ? x.along[at] : 0.0F;
      }
    }
    if constexpr (keys_own) {
#pragma unroll
      for (float& each : sum1) each = 0;
    }
#pragma unroll
    for (float& each : sum2) each = 0;

    if (piece.visits > 0) {
      barrier_wait(own_full, own.parity);
      own.next();
      if constexpr (Tile::in_registers) {
        const std::uint32_t at = (warp * 16 + lane % 16) * panel_row_bytes;
#pragma unroll
        for (int step = 0; step < H / 16; ++step) {
          const std::uint32_t chunk = ((2 * (step % 4) + lane / 16) ^ (lane & 7)) * 16;
          const std::uint32_t offset = at + step / 4 * owned_rows * panel_row_bytes + chunk;
          load_matrices(left1[step], x1_at + offset);
          load_matrices(left2[step], x2_at + offset);
        }
        release(own_empty);
      }
    }
    // The next visit that this consumer needs, past those that it does not; its tile is here then.
    const auto advance = [&](int visit) {
      for (; visit < piece.visits; ++visit) {
        barrier_wait(full + 8 * ring.slot, ring.parity);
        const int tile = piece.tile(visit);
        if (tile >= own_begin && tile < own_end) break;
        release(empty + 8 * ring.slot);
        ring.next();
      }
      return visit;
    };
    std::uint32_t c1[visited / 16][4] = {}, c2[visited / 16][4] = {};  // P and dS
    int visit = advance(0), previous = -1;
    while (visit < piece.visits) {
      const int slot = ring.slot, tile0 = piece.tile(visit) * visited;
      ring.next();
      issue(slot);  // behind the sums over the last tile
      products_wait<1>();
      pin(s);
      if constexpr (Tile::overlapped) pin(c1), pin(c2);
      if (previous >= 0) release(empty + 8 * previous);  // the sums over it are made
      previous = slot;

      const std::uint32_t shifts = statistics_at + slot * Tile::statistics_bytes + t * 8;
#pragma unroll
      for (int n = 0; n < visited / 8; ++n) {
        float2 shift;
        if constexpr (keys_own)
          asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];\n" : "=f"(shift.x), "=f"(shift.y) : "r"(shifts + n * 32));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          float* const pair = s + 4 * n + 2 * half;
          pair[0] = fast_exp2(pair[0] * to_exponent - (keys_own ? shift.x : own_shift[half]));
          pair[1] = fast_exp2(pair[1] * to_exponent - (keys_own ? shift.y : own_shift[half]));
        }
      }
      const bool whole = keys_own ? a.all_visible(tile0, tile0 + visited, own_first, own_last + 1)
                                  : a.all_visible(own_first, own_last + 1, tile0, tile0 + visited);
      if (!whole) {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const Columns seen = keys_own ? a.queries_of(row + 8 * half, tile0) : a.keys_of(row + 8 * half, tile0);
#pragma unroll
          for (int n = 0; n < visited / 8; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i)
              if (!seen.has(8 * n + 2 * t + i)) s[4 * n + 2 * half + i] = 0;
        }
      }

      if constexpr (keys_own) {
        rounded(c1, s);
        accumulate(sum1, c1, slot, Tile::visited_bytes);
      }
      products_wait<keys_own ? 1 : 0>();
      pin(d);
#pragma unroll
      for (int n = 0; n < visited / 8; ++n) {
        float2 along;
        if constexpr (keys_own)
          asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];\n"
                       : "=f"(along.x), "=f"(along.y)
                       : "r"(shifts + visited * 4 + n * 32));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int at = 4 * n + 2 * half;
          d[at] = s[at] * (d[at] - (keys_own ? along.x : own_along[half]));
          d[at + 1] = s[at + 1] * (d[at + 1] - (keys_own ? along.y : own_along[half]));
        }
      }
      rounded(c2, d);
      accumulate(sum2, c2, slot, 0);
      if constexpr (!Tile::overlapped) products_wait<0>(), pin(c1), pin(c2);  // their registers are needed
      visit = advance(visit + 1);
    }
    products_wait<0>();
    if constexpr (keys_own) pin(sum1);
    pin(sum2);
    if (previous >= 0) release(empty + 8 * previous);
    if (!Tile::in_registers && piece.visits > 0) release(own_empty);

    if (!any) continue;
    const std::uint32_t staging = staging_at + me * Tile::results * Tile::own_bytes;
    if constexpr (keys_own)
      store_rows<T, H, Tile::results - 1>(sum1, one, staging + Tile::own_bytes, own_barrier + me, x.out1, piece.owner,
                                          own_first, piece.batch);
    store_rows<T, H, Tile::results - 1>(sum2, scale, staging, own_barrier + me, x.out2, piece.owner, own_first,
                                        piece.batch);
  }
  if (thread == 0) stores_wait();
#endif
}

}  // namespace dtcalc::cuda
