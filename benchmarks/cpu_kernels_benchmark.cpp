// Rates of the CPU kernels on this machine. The figures that decide: products against the single-thread peak of Eigen,
// and elements per second of the loops between them. Threads are an argument; run it on an idle machine.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <random>
#include <thread>
#include <vector>

#include "engine/cpu/activation.hpp"
#include "engine/cpu/attention_flash.hpp"
#include "engine/cpu/attention_naive.hpp"
#include "engine/cpu/elementwise.hpp"
#include "engine/cpu/embedding.hpp"
#include "engine/cpu/head_norm_rope.hpp"
#include "engine/cpu/loss.hpp"
#include "engine/cpu/norm.hpp"
#include "engine/cpu/optimizer.hpp"
#include "engine/cpu/product.hpp"

namespace dtcalc::cpu {
namespace {

const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));

std::vector<float> values(std::int64_t count) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> result(static_cast<std::size_t>(count));
  for (float& value : result) value = uniform(generator);
  return result;
}

struct Team {
  ThreadPool pool;
  FlopCounter flop;
  std::vector<float> scratch;
  Context context;

  explicit Team(int threads, std::int64_t workspace_bytes = 0)
      : pool(threads),
        flop(threads),
        scratch(static_cast<std::size_t>(workspace_bytes / 4 + 16)),
        context{pool, flop, {}} {
    void* start = scratch.data();
    std::size_t space = scratch.size() * sizeof(float);
    std::align(64, static_cast<std::size_t>(workspace_bytes), start, space);
    context.workspace = {static_cast<std::byte*>(start), static_cast<std::size_t>(workspace_bytes)};
  }
};

void report(benchmark::State& state, const Team& team) {
  state.counters["GFLOP/s"] =
      benchmark::Counter(static_cast<double>(team.flop.total()) * 1e-9, benchmark::Counter::kIsRate);
}
void report_elements(benchmark::State& state, std::int64_t elements) {
  state.counters["Gelement/s"] = benchmark::Counter(
      static_cast<double>(elements) * 1e-9 * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void eigen_single_thread(benchmark::State& state) {
  const auto n = state.range(0);
  const Eigen::MatrixXf a = Eigen::MatrixXf::Random(n, n), b = Eigen::MatrixXf::Random(n, n);
  Eigen::MatrixXf c(n, n);
  for (auto _ : state) {
    c.noalias() = a * b;
    benchmark::DoNotOptimize(c.data());
  }
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(n * n * n) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(eigen_single_thread)->Arg(1024)->UseRealTime();

void dispatch(benchmark::State& state) {
  Team team(static_cast<int>(state.range(0)));
  for (auto _ : state) team.pool.parallel_for(team.pool.threads(), 1, [](std::int64_t, std::int64_t, int) {});
}
BENCHMARK(dispatch)->Arg(1)->Arg(cores)->UseRealTime();

void matrix_product(benchmark::State& state) {
  const auto layout = static_cast<Layout>(state.range(0));
  const auto m = state.range(1), n = state.range(2), k = state.range(3);
  Team team(static_cast<int>(state.range(4)));
  const auto a = values(m * k), b = values(n * k);
  auto c = values(m * n);
  for (auto _ : state) product(team.context, layout, m, n, k, a.data(), b.data(), c.data(), false);
  report(state, team);
}
void product_sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"layout", "m", "n", "k", "threads"});
  for (const std::int64_t threads : {1, cores}) {
    for (const std::int64_t layout : {0, 1, 2}) b->Args({layout, 1024, 1024, 1024, threads});
  }
  // Of a small GPT: 1024 tokens, hidden 256 and 768, MLP, head; the same as gradients; decode.
  for (const std::int64_t layout : {0, 1, 2}) {
    b->Args({layout, 1024, 256, 256, cores})->Args({layout, 1024, 1024, 256, cores});
    b->Args({layout, 1024, 768, 768, cores})->Args({layout, 1024, 3072, 768, cores});
    b->Args({layout, 1024, 768, 3072, cores})->Args({layout, 256, 50257, 256, cores});
  }
  b->Args({2, 256, 1024, 1024, cores})->Args({2, 3072, 768, 1024, cores})->Args({0, 1, 3072, 768, cores});
}
BENCHMARK(matrix_product)->Apply(product_sizes)->UseRealTime();

void activation(benchmark::State& state) {
  const auto kind = static_cast<Activation>(state.range(0));
  const bool backward = state.range(1) != 0;
  const std::int64_t count = 1 << 18;  // in the second-level cache of two cores
  Team team(static_cast<int>(state.range(2)));
  const auto x = values(count), dy = values(count);
  auto y = x;
  for (auto _ : state) {
    if (backward) {
      activation_backward(team.context, kind, count, x.data(), dy.data(), y.data());
    } else {
      activation_forward(team.context, kind, count, x.data(), y.data());
    }
  }
  report_elements(state, count);
}
BENCHMARK(activation)
    ->ArgNames({"kind", "backward", "threads"})
    ->ArgsProduct({{0, 1, 2, 3, 5}, {0, 1}, {1, cores}})
    ->UseRealTime();

constexpr std::int64_t rows = 1024, hidden = 768;

void norm(benchmark::State& state) {
  const NormOptions options{static_cast<Norm>(state.range(0)), 1e-5, false};
  Team team(cores, norm_backward_workspace_bytes<float>(rows, hidden));
  const auto x = values(rows * hidden), delta = x, gamma = values(hidden), beta = gamma;
  auto residual = x, y = x, mean = values(rows), rstd = mean, dgamma = gamma, dbeta = gamma;
  for (auto _ : state) {
    if (state.range(1) == 0) {
      residual_norm_forward(team.context, options, rows, hidden, x.data(), delta.data(), residual.data(), gamma.data(),
                            beta.data(), y.data(), mean.data(), rstd.data());
    } else {
      norm_backward(team.context, options, rows, hidden, delta.data(), x.data(), gamma.data(), mean.data(), rstd.data(),
                    y.data(), false, dgamma.data(), dbeta.data());
    }
  }
  report_elements(state, rows * hidden);
}
BENCHMARK(norm)->ArgNames({"kind", "backward"})->ArgsProduct({{0, 1}, {0, 1}})->UseRealTime();

void rope(benchmark::State& state) {
  const HeadNormRope shape{
      1, rows, 12, 64, static_cast<QkNorm>(state.range(0)), 1e-6, false, 64, static_cast<RopePairing>(state.range(1))};
  Team team(cores);
  const auto x = values(rows * hidden), weight = values(hidden), table = values(rows * 32);
  auto out = x;
  for (auto _ : state) {
    head_norm_rope_forward<float>(team.context, shape, x.data(), weight.data(), table.data(), table.data(), out.data(),
                                  nullptr);
  }
  report_elements(state, rows * hidden);
}
BENCHMARK(rope)->ArgNames({"norm", "pairing"})->ArgsProduct({{0, 1, 2}, {0, 1}})->UseRealTime();

void bias_dropout(benchmark::State& state) {
  Team team(cores);
  auto y = values(rows * hidden);
  const auto bias = values(hidden);
  const double p = static_cast<double>(state.range(0)) / 100;
  for (auto _ : state)
    bias_dropout_forward(team.context, rows, hidden, y.data(), bias.data(), p, DropoutKey{1, 2, 3, 4, 5});
  report_elements(state, rows * hidden);
}
BENCHMARK(bias_dropout)->ArgName("percent")->Arg(0)->Arg(10)->UseRealTime();

void gradient_of_bias(benchmark::State& state) {
  Team team(cores);
  const auto columns = state.range(0);
  const auto dy = values(rows * columns);
  auto dbias = values(columns);
  for (auto _ : state) bias_gradient(team.context, rows, columns, dy.data(), dbias.data());
  report_elements(state, rows * columns);
}
BENCHMARK(gradient_of_bias)->ArgName("columns")->Arg(256)->Arg(768)->Arg(3072)->UseRealTime();

void embedding(benchmark::State& state) {
  Team team(cores);
  const EmbeddingShape shape{1, rows, hidden, 0, 1, 0, {}};
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < rows; ++i) tokens.push_back(static_cast<std::int32_t>(i * 7919 % 50257));
  const auto table = values(50257 * hidden), positions = values(rows * hidden);
  auto x = positions, dtable = table, dpositions = positions;
  for (auto _ : state) {
    if (state.range(0) == 0) {
      embedding_forward(team.context, shape, tokens.data(), table.data(), positions.data(), x.data());
    } else {
      embedding_backward(team.context, shape, tokens.data(), x.data(), dtable.data(), dpositions.data());
    }
  }
  report_elements(state, rows * hidden);
}
BENCHMARK(embedding)->ArgName("backward")->Arg(0)->Arg(1)->UseRealTime();

void loss(benchmark::State& state) {
  Team team(cores);
  const std::int64_t vocabulary = state.range(0), tokens = state.range(1);
  auto logits = values(tokens * vocabulary), losses = values(tokens);
  const std::vector<std::int32_t> targets(static_cast<std::size_t>(tokens), 3);
  for (auto _ : state) {
    loss_forward_backward(team.context, tokens, vocabulary, logits.data(), targets.data(), 0, 1, losses.data());
  }
  report_elements(state, tokens * vocabulary);
}
BENCHMARK(loss)->ArgNames({"vocabulary", "tokens"})->Args({256, 4096})->Args({50257, 64})->UseRealTime();

void optimizer(benchmark::State& state) {
  Team team(cores);
  const std::int64_t count = state.range(0);
  auto p = values(count), m = p, v = std::vector<float>(p.size(), 1.0F);
  const auto g = p;
  for (auto _ : state) adamw(team.context, AdamW{}, count, p.data(), g.data(), m.data(), v.data());
  report_elements(state, count);
}
BENCHMARK(optimizer)->ArgName("elements")->Arg(1 << 16)->Arg(1 << 23)->UseRealTime();

void gradient_norm(benchmark::State& state) {
  Team team(cores);
  const auto x = values(1 << 22);
  for (auto _ : state) benchmark::DoNotOptimize(squared_norm(team.context, 1 << 22, x.data()));
  report_elements(state, 1 << 22);
}
BENCHMARK(gradient_norm)->UseRealTime();

AttentionShape attention_shape(std::int64_t sequence, std::int64_t head_size) {
  return {.batch = 1, .queries = sequence, .keys = sequence, .heads = 8, .kv_heads = 8, .head_size = head_size};
}

void softmax(benchmark::State& state) {
  Team team(cores);
  const AttentionShape s = attention_shape(state.range(0), 64);
  AttentionOptions options;
  options.scale = 0.125, options.causal = false, options.dropout = static_cast<double>(state.range(2)) / 100;
  const std::int64_t count = s.heads * s.queries * s.keys;
  const auto scores = values(count);
  auto p = scores, dropped = scores;
  for (auto _ : state) {
    if (state.range(1) == 0) {
      attention_softmax_forward(team.context, s, options, scores.data(), p.data(), dropped.data());
    } else {
      attention_softmax_backward<float>(team.context, s, options, scores.data(), nullptr, p.data());
    }
  }
  report_elements(state, count);
}
BENCHMARK(softmax)
    ->ArgNames({"keys", "backward", "percent"})
    ->ArgsProduct({{256, 1024}, {0, 1}, {0, 10}})
    ->UseRealTime();

void attention_products(benchmark::State& state) {
  Team team(cores);
  const AttentionShape s = attention_shape(state.range(0), 64);
  const auto q = values(s.queries * s.heads * s.head_size);
  auto square = values(s.heads * s.queries * s.keys), out = q;
  for (auto _ : state) {
    switch (state.range(1)) {
      case 0:
        attention_scores(team.context, s, q.data(), q.data(), square.data());
        break;
      case 1:
        attention_context(team.context, s, square.data(), q.data(), out.data());
        break;
      default:
        attention_context_backward_value(team.context, s, square.data(), q.data(), out.data());
    }
  }
  report(state, team);
}
BENCHMARK(attention_products)->ArgNames({"keys", "product"})->ArgsProduct({{256, 1024}, {0, 1, 2}})->UseRealTime();

void flash(benchmark::State& state) {
  const AttentionShape s = attention_shape(state.range(0), state.range(1));
  const FlashTiles tiles{state.range(2), state.range(3)};
  AttentionOptions options;
  options.scale = 0.125;
  const bool backward = state.range(4) != 0;
  Team team(cores, backward ? flash_backward_workspace_bytes<float>(s, tiles, cores)
                            : flash_forward_workspace_bytes<float>(s, tiles, cores));
  const auto q = values(s.queries * s.heads * s.head_size);
  auto out = q, dq = q, dk = q, dv = q, lse = values(s.heads * s.queries);
  for (auto _ : state) {
    if (backward) {
      flash_backward(team.context, s, options, tiles, q.data(), q.data(), q.data(), out.data(), lse.data(), q.data(),
                     dq.data(), dk.data(), dv.data());
    } else {
      flash_forward(team.context, s, options, tiles, q.data(), q.data(), q.data(), out.data(), lse.data());
    }
  }
  report(state, team);
}
BENCHMARK(flash)
    ->ArgNames({"sequence", "head", "query_tile", "key_tile", "backward"})
    ->ArgsProduct({{1024}, {64}, {32, 64, 128, 256}, {64, 128, 256}, {0, 1}})
    ->UseRealTime();

}  // namespace
}  // namespace dtcalc::cpu
