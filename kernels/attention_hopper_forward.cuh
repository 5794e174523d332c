// The forward pass of attention on Hopper's tensor cores: Algorithm 2 with E04. Included by attention_hopper_*.cu.
#pragma once

#include "kernels/attention_hopper.cuh"

namespace dtcalc::cuda {

template <int H>
struct HopperForwardTile {
  static constexpr int consumers = H == 64 ? 3 : 2;
  static constexpr int query = owned_rows * consumers, key = 128;
  static constexpr bool in_turn = true;           ///< consumers issue their products one after the other
  static constexpr int stages = H == 64 ? 4 : 2;  ///< tiles of keys, and of values, in shared memory
  static constexpr int threads = warpgroup_size * (consumers + 1);
  static constexpr int producer_registers = consumers == 3 ? 32 : 24;  ///< of the 65,536: multiples of 8 a thread
  static constexpr int consumer_registers = consumers == 3 ? 160 : 240;
  static constexpr int own_bytes = owned_rows * H * 2, key_bytes = key * H * 2;
  static constexpr int barriers = 2 + 4 * stages;
  static constexpr int shared_bytes = 2 * consumers * own_bytes + 2 * stages * key_bytes + 8 * barriers;
};

struct HopperForward {
  CUtensorMap q, k, v, out;  ///< boxes of 64 rows (q, out) and of a tile's keys
  Attention a;
  WorkOrder order;  ///< heads: batch times query heads
  float* log_sum_exp;
};

/// Keys are visited from the last, where the mask is, to the first. While a consumer's probabilities of one tile
/// multiply the values its scores of the next are made, and while it takes the exponentials of those the other
/// consumers have the tensor cores.
template <class T, int H, bool in_turn>
__global__ void __launch_bounds__(HopperForwardTile<H>::threads, 1)
    hopper_forward_kernel(const __grid_constant__ HopperForward x) {
#if DTCALC_ON_SM90A
  using Tile = HopperForwardTile<H>;
  constexpr int consumers = Tile::consumers, stages = Tile::stages;
  extern __shared__ __align__(1024) unsigned char memory[];
  const std::uint32_t q_at = shared_address(memory), staging_at = q_at + consumers * Tile::own_bytes;
  const std::uint32_t k_at = staging_at + consumers * Tile::own_bytes, v_at = k_at + stages * Tile::key_bytes;
  const std::uint32_t q_full = v_at + stages * Tile::key_bytes, q_empty = q_full + 8;
  const std::uint32_t k_full = q_empty + 8, k_empty = k_full + 8 * stages;
  const std::uint32_t v_full = k_empty + 8 * stages, v_empty = v_full + 8 * stages;

  const Attention& a = x.a;
  const int warpgroup = __shfl_sync(0xFFFFFFFFU, static_cast<int>(threadIdx.x) / warpgroup_size, 0);
  if (threadIdx.x == 0) {
    constexpr int warps = 4 * consumers;
    barrier_make(q_full, 1);
    barrier_make(q_empty, warps);
    for (int i = 0; i < stages; ++i) {
      barrier_make(k_full + 8 * i, 1);
      barrier_make(k_empty + 8 * i, warps);
      barrier_make(v_full + 8 * i, 1);
      barrier_make(v_empty + 8 * i, warps);
    }
    barriers_publish();
  }
  __syncthreads();

  struct Piece {
    int head, batch, first, tiles;  ///< tiles: of keys that the block's queries see
  };
  const auto piece_of = [&](int index) {
    const WorkOrder::Piece piece = x.order.piece(index);
    const int first = (x.order.levels - 1 - piece.level) * Tile::query;
    const int last = min(first + Tile::query, a.queries) - 1;
    return Piece{piece.head % a.heads, piece.head / a.heads, first, (a.end_key(last) + Tile::key - 1) / Tile::key};
  };

  if (warpgroup == 0) {
    registers_shrink<Tile::producer_registers>();
    if (threadIdx.x != 0) return;
    Ring<1> q_ring;
    Ring<stages> k_ring, v_ring;
    for (int turn = 0; turn < x.order.turns(); ++turn) {
      const int index = x.order.index(turn);
      if (index >= x.order.count()) continue;
      const Piece piece = piece_of(index);
      if (piece.tiles == 0) continue;
      const int kv_head = piece.head / a.group;
      barrier_wait(q_empty, q_ring.parity ^ 1);
      barrier_expect(q_full, consumers * Tile::own_bytes);
      for (int i = 0; i < consumers; ++i)
        load_panels<H, owned_rows>(q_at + i * Tile::own_bytes, x.q, q_full, piece.head, piece.first + owned_rows * i,
                                   piece.batch);
      q_ring.next();
      const auto fetch = [&](Ring<stages>& ring, std::uint32_t full, std::uint32_t empty, std::uint32_t at,
                             const CUtensorMap& map, int tile) {
        barrier_wait(empty + 8 * ring.slot, ring.parity ^ 1);
        barrier_expect(full + 8 * ring.slot, Tile::key_bytes);
        load_panels<H, Tile::key>(at + ring.slot * Tile::key_bytes, map, full + 8 * ring.slot, kv_head,
                                  tile * Tile::key, piece.batch);
        ring.next();
      };
      fetch(k_ring, k_full, k_empty, k_at, x.k, piece.tiles - 1);
      for (int tile = piece.tiles - 1; tile >= 0; --tile) {
        if (tile > 0) fetch(k_ring, k_full, k_empty, k_at, x.k, tile - 1);
        fetch(v_ring, v_full, v_empty, v_at, x.v, tile);
      }
    }
    return;
  }

  registers_grow<Tile::consumer_registers>();
  const int me = warpgroup - 1;
  const int thread = static_cast<int>(threadIdx.x) % warpgroup_size, lane = thread % 32, t = lane % 4;
  const float to_exponent = a.scale * log2_e;
  const std::uint64_t q_panel = panel_along(q_at + me * Tile::own_bytes), k_panel = panel_along(k_at);
  const std::uint64_t v_panel = panel_across<Tile::key * panel_row_bytes>(v_at);
  constexpr int turn_threads = 2 * warpgroup_size, turn_barrier = 1, own_barrier = 1 + consumers;
  const auto my_turn = [&] {
    if constexpr (in_turn) named_wait(turn_barrier + me, turn_threads);
  };
  const auto next_turn = [&] {
    if constexpr (in_turn) named_arrive(turn_barrier + (me + 1) % consumers, turn_threads);
  };
  if (in_turn && me == consumers - 1) next_turn();  // the first consumer begins
  const auto release = [&](std::uint32_t barrier) {
    if (lane == 0) barrier_arrive(barrier);
  };

  float o[H / 2], s[Tile::key / 2];
  std::uint32_t p[Tile::key / 16][4];
  const auto make_scores = [&](int slot) {
    products_fence();
#pragma unroll
    for (int step = 0; step < H / 16; ++step) {
      const int q_step = (step / 4 * owned_rows * panel_row_bytes + step % 4 * 32) >> 4;
      const int k_step = (step / 4 * Tile::key * panel_row_bytes + step % 4 * 32) >> 4;
      Product<T, Tile::key>::template of_shared<false, false>(
          s, q_panel + q_step, k_panel + (slot * Tile::key_bytes >> 4) + k_step, step != 0);
    }
    products_commit();
  };
  const auto add_values = [&](int slot) {
    products_fence();
#pragma unroll
    for (int step = 0; step < Tile::key / 16; ++step)
      Product<T, H>::template of_registers<true>(
          o, p[step], v_panel + (slot * Tile::key_bytes >> 4) + (step * 16 * panel_row_bytes >> 4), true);
    products_commit();
  };
  const auto pack_probabilities = [&] {
#pragma unroll
    for (int step = 0; step < Tile::key / 16; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) p[step][i] = pack<T>(s[8 * step + 2 * i], s[8 * step + 2 * i + 1]);
    }
  };

  Ring<1> q_ring;
  Ring<stages> k_ring, v_ring;
  for (int turn = 0; turn < x.order.turns(); ++turn) {
    const int index = x.order.index(turn);
    if (index >= x.order.count()) continue;
    const Piece piece = piece_of(index);
    const int own_first = piece.first + owned_rows * me, own_last = min(own_first + owned_rows, a.queries) - 1;
    const int own_tiles = own_first < a.queries ? (a.end_key(own_last) + Tile::key - 1) / Tile::key : 0;
    const int row = own_first + thread / 32 * 16 + lane / 4;
    const int whole = own_first < a.queries ? a.end_key(own_first) : 0;  // every row sees the keys before it

    // Tiles that only the other consumers' queries see.
    for (int tile = piece.tiles - 1; tile >= own_tiles; --tile) {
      barrier_wait(k_full + 8 * k_ring.slot, k_ring.parity);
      release(k_empty + 8 * k_ring.slot);
      k_ring.next();
      barrier_wait(v_full + 8 * v_ring.slot, v_ring.parity);
      release(v_empty + 8 * v_ring.slot);
      v_ring.next();
      if (tile > 0) my_turn(), next_turn();
    }

    float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {}, shrink[2];
#pragma unroll
    for (float& each : o) each = 0;
    const auto hide = [&](int tile) {
      const int key0 = tile * Tile::key;
      if (key0 + Tile::key <= whole) return;
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int limit = a.end_key(row + 8 * half) - key0 - 2 * t;
#pragma unroll
        for (int n = 0; n < Tile::key / 8; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i)
            if (8 * n + i >= limit) s[4 * n + 2 * half + i] = -INFINITY;
      }
    };
    // The scores become probabilities up to a factor that `shrink` puts right in what was summed before.
    const auto soften = [&] {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most[2] = {maximum[half], s[2 * half + 1]};
#pragma unroll
        for (int n = 0; n < Tile::key / 8; ++n) {
          most[0] = fmaxf(most[0], s[4 * n + 2 * half]);
          most[1] = fmaxf(most[1], s[4 * n + 2 * half + 1]);
        }
        float m = fmaxf(most[0], most[1]);
        m = fmaxf(m, __shfl_xor_sync(0xFFFFFFFFU, m, 1));
        m = fmaxf(m, __shfl_xor_sync(0xFFFFFFFFU, m, 2));
        const float shift = m == -INFINITY ? 0.0F : m * to_exponent;  // E04: nothing seen so far
        shrink[half] = fast_exp2(maximum[half] * to_exponent - shift);
        maximum[half] = m;
        float sums[2] = {sum[half] * shrink[half], 0};
#pragma unroll
        for (int n = 0; n < Tile::key / 8; ++n) {
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            float& each = s[4 * n + 2 * half + i];
            each = fast_exp2(each * to_exponent - shift);
            sums[i] += each;
          }
        }
        sum[half] = sums[0] + sums[1];
      }
    };

    if (own_tiles > 0) {
      barrier_wait(q_full, q_ring.parity);
      barrier_wait(k_full + 8 * k_ring.slot, k_ring.parity);
      make_scores(k_ring.slot);
      products_wait<0>();
      pin(s);
      release(k_empty + 8 * k_ring.slot);
      k_ring.next();
      hide(own_tiles - 1);
      soften();
      pack_probabilities();
      for (int tile = own_tiles - 2; tile >= 0; --tile) {
        barrier_wait(k_full + 8 * k_ring.slot, k_ring.parity);
        my_turn();
        make_scores(k_ring.slot);
        barrier_wait(v_full + 8 * v_ring.slot, v_ring.parity);
        add_values(v_ring.slot);
        next_turn();
        products_wait<1>();
        pin(s);
        release(k_empty + 8 * k_ring.slot);
        k_ring.next();
        hide(tile);
        soften();
        products_wait<0>();
        pin(o);
        pin(p);
        release(v_empty + 8 * v_ring.slot);
        v_ring.next();
#pragma unroll
        for (int i = 0; i < H / 2; ++i) o[i] *= shrink[i / 2 % 2];
        pack_probabilities();
      }
      release(q_empty);
      barrier_wait(v_full + 8 * v_ring.slot, v_ring.parity);
      add_values(v_ring.slot);
      products_wait<0>();
      pin(o);
      release(v_empty + 8 * v_ring.slot);
      v_ring.next();
    } else if (piece.tiles > 0) {
      release(q_empty);
    }
    if (piece.tiles > 0) q_ring.next();

    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float total = sum[half];
      total += __shfl_xor_sync(0xFFFFFFFFU, total, 1);
      total += __shfl_xor_sync(0xFFFFFFFFU, total, 2);
      inverse[half] = total > 0 ? 1.0F / total : 0.0F;
      const int query = row + 8 * half;
      if (x.log_sum_exp != nullptr && t == 0 && query < a.queries)
        x.log_sum_exp[a.statistics(piece.batch, piece.head) + query] =
            total > 0 ? maximum[half] * a.scale + logf(total) : -INFINITY;
    }
    if (own_first < a.queries)
      store_rows<T, H, 0>(o, inverse, staging_at + me * Tile::own_bytes, own_barrier + me, x.out, piece.head, own_first,
                          piece.batch);
  }
  if (thread == 0) stores_wait();
#endif
}

}  // namespace dtcalc::cuda
