#include "kernels/optimizer.hpp"

#include "engine/cpu/optimizer.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

/// A step state in device memory.
class State {
 public:
  explicit State(const StepState& state) {
    require(cudaMalloc(&memory_, sizeof state));
    require(cudaMemcpy(memory_, &state, sizeof state, cudaMemcpyHostToDevice));
  }
  ~State() { cudaFree(memory_); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  StepState* data() { return static_cast<StepState*>(memory_); }
  StepState read() {
    StepState state;
    require(cudaMemcpy(&state, memory_, sizeof state, cudaMemcpyDeviceToHost));
    return state;
  }

 private:
  void* memory_ = nullptr;
};

TEST_CASE("AdamW on the GPU: masters, moments and rounded weights, from host scalars and from device memory") {
  DTCALC_NEED_GPU();
  const auto body = [](auto tag, auto gradient_tag) {
    using T = decltype(tag);
    using G = decltype(gradient_tag);
    for (const std::int64_t n : {1, 17, 1003, 4096}) {
      CAPTURE(n, name_of<T>(), name_of<G>());
      const Values p = operands<float>(n, 1), g = operands<G>(n, 2), m = operands<float>(n, 3);
      Values v = operands<float>(n, 4);
      for (double& value : v) value = value * value;
      v = rounded<float>(v);
      const double rate = 3e-2, factor = 0.25;
      const auto run = [&](auto zero) {
        using U = decltype(zero);
        cpu::test::Team team(2);
        cpu::Context context = team.context();
        auto parameter = cpu::test::converted<U>(p), first = cpu::test::converted<U>(m),
             second = cpu::test::converted<U>(v), gradient = cpu::test::converted<U>(g);
        cpu::adamw<U>(context, {rate, 0.9, 0.95, 1e-8, 0.1, 7, factor}, n, parameter.data(), gradient.data(),
                      first.data(), second.data());
        return std::vector<Values>{widened(parameter), widened(first), widened(second)};
      };
      const auto exact = run(double{}), single = run(float{});
      Launch launch;
      State state({rate, factor, 7, 0}), skipping({rate, factor, 7, 1});
      const AdamW from_host{rate, 0.9, 0.95, 1e-8, 0.1, 7, factor, nullptr};
      for (const AdamW& options : {from_host, AdamW{9, 0.9, 0.95, 1e-8, 0.1, 99, 9, state.data()}}) {
        Buffer<float> parameter(p), first(m), second(v);
        Buffer<G> gradient(g);
        Buffer<T> weights(n);
        require(adamw<T, G>(launch.context(), options, n, parameter.data(), gradient.data(), first.data(),
                            second.data(), weights.data()));
        check<float>("parameter", parameter.read(), exact[0], single[0]);
        check<float>("first", first.read(), exact[1], single[1]);
        check<float>("second", second.read(), exact[2], single[2]);
        CHECK(weights.read() == rounded<T>(parameter.read()));
      }
      Buffer<float> parameter(p), first(m), second(v);
      Buffer<G> gradient(g);
      AdamW skip = from_host;
      skip.state = skipping.data();
      require(adamw<T, G>(launch.context(), skip, n, parameter.data(), gradient.data(), first.data(), second.data(),
                          nullptr));
      CHECK(parameter.read() == p);
      CHECK(first.read() == m);
    }
  };
  body(float{}, float{});
  body(bf16{}, float{});
  body(bf16{}, bf16{});
  body(fp16{}, fp16{});
}

TEST_CASE("stochastic rounding: unbiased, between neighbours, and a function of seed, step, tensor and element") {
  DTCALC_NEED_GPU();
  // Weights of 1 that an update moves by an eighth of a bf16 step (2^-7 above 1): one in eight must move.
  constexpr std::int64_t n = 1 << 16;
  const double move = 0x1p-10;
  Launch launch;
  const auto run = [&](const RoundingKey& key, std::int64_t step, std::int64_t from, std::int64_t count) {
    Buffer<bf16> weights(Values(std::size_t(count), 1.0));
    Buffer<float> gradient(Values(std::size_t(count), -1.0)), first(Values(std::size_t(count), 0.0)),
        second(Values(std::size_t(count), 0.0));
    RoundingKey shard = key;
    shard.first_element = from;
    // beta 0: the update is exactly -rate g / (|g| + epsilon).
    require(adamw_stochastic<float>(launch.context(), {move, 0, 0, 0, 0, step, 1, nullptr}, shard, count,
                                    weights.data(), gradient.data(), first.data(), second.data()));
    return weights.read();
  };
  const Values got = run({3, 1, 0}, 1, 0, n);
  std::int64_t up = 0;
  for (const double value : got) {
    const bool neighbour = value == 1 || value == 1 + 0x1p-7;
    REQUIRE(neighbour);
    up += value > 1;
  }
  // Binomial with p = 1/8: standard deviation sqrt(n p (1 - p)) = 85; five of them.
  CHECK(std::abs(static_cast<double>(up) - n / 8.0) < 5 * 85);
  CHECK(run({3, 1, 0}, 1, 0, n) == got);
  CHECK(run({3, 1, 0}, 2, 0, n) != got);
  CHECK(run({3, 2, 0}, 1, 0, n) != got);
  CHECK(run({4, 1, 0}, 1, 0, n) != got);
  // A shard that begins anywhere rounds as the whole does.
  const Values part = run({3, 1, 0}, 1, 1001, 999);
  CHECK(std::equal(part.begin(), part.end(), got.begin() + 1001));
}

TEST_CASE("SGD on the GPU, with and without momentum") {
  DTCALC_NEED_GPU();
  for (const std::int64_t n : {1, 17, 4096}) {
    for (const bool momentum : {false, true}) {
      const Values p = operands<float>(n, 1), g = operands<bf16>(n, 2), u = operands<float>(n, 3);
      const auto run = [&](auto zero) {
        using U = decltype(zero);
        cpu::test::Team team(2);
        cpu::Context context = team.context();
        auto parameter = cpu::test::converted<U>(p), velocity = cpu::test::converted<U>(u),
             gradient = cpu::test::converted<U>(g);
        cpu::sgd<U>(context, {0.1, 0.9, 0.01, 0.5}, n, parameter.data(), gradient.data(),
                    momentum ? velocity.data() : nullptr);
        return std::vector<Values>{widened(parameter), widened(velocity)};
      };
      const auto exact = run(double{}), single = run(float{});
      Launch launch;
      Buffer<float> parameter(p), velocity(u);
      Buffer<bf16> gradient(g), weights(n);
      require(sgd<bf16, bf16>(launch.context(), {0.1, 0.9, 0.01, 0.5, nullptr}, n, parameter.data(), gradient.data(),
                              momentum ? velocity.data() : nullptr, weights.data()));
      check<float>("parameter", parameter.read(), exact[0], single[0]);
      check<float>("velocity", velocity.read(), exact[1], single[1]);
      CHECK(weights.read() == rounded<bf16>(parameter.read()));
    }
  }
}

TEST_CASE("the gradient norm on the GPU, and clipping by it") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const std::int64_t n : {1, 17, 100003}) {
      CAPTURE(n);
      const Values x = operands<T>(n, 1);
      double expected = 0;
      for (const double value : x) expected += value * value;
      Launch launch(squared_norm_workspace_bytes());
      Buffer<T> in(x);
      Buffer<float> numbers(4);
      auto* const squared = reinterpret_cast<double*>(numbers.data());
      double* const norm = squared + 1;
      require(squared_norm<T>(launch.context(), n, in.data(), squared, false));
      require(squared_norm<T>(launch.context(), n, in.data(), squared, true));
      double got[2];
      State state({1e-3, 1, 4, 0});
      require(clip_gradients(launch.context(), squared, 0.5, 0.125, norm, state.data()));
      require(cudaMemcpy(got, squared, sizeof got, cudaMemcpyDeviceToHost));
      // Eight squares are added in float before double takes over.
      CHECK(got[0] == Approx(2 * expected).epsilon(8 * 0x1p-24));
      CHECK(got[1] == Approx(0.5 * std::sqrt(2 * expected)).epsilon(8 * 0x1p-24));
      CHECK(state.read().gradient_factor == Approx(got[1] > 0.125 ? 0.5 * 0.125 / got[1] : 0.5));
      CHECK(state.read().skip == 0);
      CHECK(state.read().step == 4);
      require(clip_gradients(launch.context(), squared, 0.5, 0, nullptr, state.data()));
      CHECK(state.read().gradient_factor == 0.5);
    }
    Launch launch(squared_norm_workspace_bytes());
    Buffer<T> broken(Values{1, std::numeric_limits<double>::infinity(), 2});
    Buffer<float> numbers(2);
    State state({});
    require(squared_norm<T>(launch.context(), 3, broken.data(), reinterpret_cast<double*>(numbers.data()), false));
    require(clip_gradients(launch.context(), reinterpret_cast<double*>(numbers.data()), 1, 1, nullptr, state.data()));
    CHECK(state.read().skip == 1);
  });
}

}  // namespace
}  // namespace dtcalc::cuda::test
