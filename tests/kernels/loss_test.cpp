#include "kernels/loss.hpp"

#include "engine/cpu/loss.hpp"
#include "kernels/support.hpp"

namespace dtcalc::cuda::test {
namespace {

struct Case {
  std::int64_t rows, vocabulary;
  double softcap;
};
// One row, rows shorter than a packet, rows that begin anywhere; more rows than three times the multiprocessors, so
// that a block walks over several; GPT-2's vocabulary, of which two rows fit into shared memory with 16 bits and none
// with float; the longest of which two fit with 16 bits, and one more packet; rows that never fit.
const Case cases[] = {{1, 3, 0},     {1, 50257, 0},  {17, 17, 0},   {9, 1000, 0},  {5, 1000, 30}, {450, 1003, 0},
                      {7, 50257, 0}, {3, 50257, 30}, {5, 57856, 0}, {5, 57864, 0}, {2, 130001, 0}};

TEST_CASE("loss on the GPU: per row, and the gradient over the logits") {
  DTCALC_NEED_GPU();
  for_types([](auto tag) {
    using T = decltype(tag);
    for (const Case& c : cases) {
      CAPTURE(c.rows, c.vocabulary, c.softcap);
      const Values z = operands<T>(c.rows * c.vocabulary, 1, 8);
      std::vector<std::int32_t> targets;
      for (std::int64_t row = 0; row < c.rows; ++row)
        targets.push_back(row % 5 == 2 || row % 7 == 3 ? -1 : static_cast<std::int32_t>(row * 7919 % c.vocabulary));
      const double factor = 0.5;
      const auto run = [&](auto zero) {
        using U = decltype(zero);
        cpu::test::Team team(2);
        cpu::Context context = team.context();
        auto logits = cpu::test::converted<U>(z);
        std::vector<U> losses(static_cast<std::size_t>(c.rows));
        cpu::loss_forward_backward<U>(context, c.rows, c.vocabulary, logits.data(), targets.data(), c.softcap, factor,
                                      losses.data());
        return std::vector<Values>{widened(logits), widened(losses)};
      };
      const auto exact = run(double{}), single = run(float{});
      Launch launch;
      Indices at(targets);
      Buffer<T> logits(z);
      Buffer<float> losses(c.rows), plain(c.rows);
      require(
          loss_forward<T>(launch.context(), c.rows, c.vocabulary, logits.data(), at.data(), c.softcap, plain.data()));
      require(loss_forward_backward<T>(launch.context(), c.rows, c.vocabulary, logits.data(), at.data(), c.softcap,
                                       factor, losses.data()));
      check<T>("gradient", logits.read(), exact[0], single[0]);
      check<float>("loss", losses.read(), exact[1], single[1]);
      check<float>("loss alone", plain.read(), exact[1], single[1]);
      Buffer<T> second(z);
      Buffer<float> again(c.rows);
      require(loss_forward_backward<T>(launch.context(), c.rows, c.vocabulary, second.data(), at.data(), c.softcap,
                                       factor, again.data()));
      const bool same = second.read() == logits.read() && again.read() == losses.read();
      CHECK(same);

      Buffer<float> two(Values{0, 0});
      auto* const total = reinterpret_cast<double*>(two.data());
      require(loss_sum(launch.context(), c.rows, losses.data(), total, false));
      require(loss_sum(launch.context(), c.rows, losses.data(), total, true));
      double sum = 0, expected = 0;
      require(cudaMemcpy(&sum, total, sizeof sum, cudaMemcpyDeviceToHost));
      for (const double loss : losses.read()) expected += 2 * loss;
      CHECK(sum == Approx(expected).epsilon(1e-12));
    }
  });
}

TEST_CASE("loss on the GPU: chunks of rows give the bits of the whole") {
  DTCALC_NEED_GPU();
  constexpr std::int64_t rows = 12, vocabulary = 50257;
  const Values z = operands<bf16>(rows * vocabulary, 1, 8);
  Launch launch;
  Indices at(std::vector<std::int32_t>(rows, 40000));
  Buffer<bf16> whole(z), parts(z);
  Buffer<float> losses(rows), by_chunk(rows);
  require(
      loss_forward_backward<bf16>(launch.context(), rows, vocabulary, whole.data(), at.data(), 0, 0.25, losses.data()));
  for (std::int64_t row = 0; row < rows; row += 4) {
    require(loss_forward_backward<bf16>(launch.context(), 4, vocabulary, parts.data() + row * vocabulary,
                                        at.data() + row, 0, 0.25, by_chunk.data() + row));
  }
  CHECK(whole.read() == parts.read());
  CHECK(losses.read() == by_chunk.read());
}

}  // namespace
}  // namespace dtcalc::cuda::test
