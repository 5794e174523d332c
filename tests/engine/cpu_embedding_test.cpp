// The embedding against its definition, its gradient against a scatter in token order.
#include "engine/cpu/embedding.hpp"

#include "engine/cpu_support.hpp"

namespace dtcalc::cpu::test {
namespace {

constexpr std::int64_t vocabulary = 13, positions = 40;

std::vector<std::int32_t> tokens_of(const EmbeddingShape& s) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < s.batch * s.sequence; ++i)
    tokens.push_back(static_cast<std::int32_t>(i * i % vocabulary));
  return tokens;
}

const DropoutKey key{3, 1, 4, 1, 5};
const std::vector<EmbeddingShape> shapes = {
    {1, 1, 1, 0, 1, 0, key}, {2, 17, 65, 0, 1, 0, key}, {3, 5, 700, 7, 26.5, 0, key}, {2, 30, 130, 2, 1, 0.3, key}};

}  // namespace

TEST_CASE("the embedding equals its definition, forward and backward", "[engine][embedding]") {
  Team team(3);
  Context context = team.context();
  for (const EmbeddingShape& s : shapes) {
    for (const bool with_positions : {false, true}) {
      CAPTURE(s.batch, s.sequence, s.hidden, with_positions);
      const auto tokens = tokens_of(s);
      const auto hidden = static_cast<std::size_t>(s.hidden);
      const auto table = random_values(vocabulary * s.hidden, 1), places = random_values(positions * s.hidden, 2);
      const auto dx = random_values(static_cast<std::int64_t>(tokens.size()) * s.hidden, 3);
      std::vector<double> mask(dx.size(), 1), x(dx.size()), dtable = table, dplaces = places;
      if (s.dropout > 0)
        fill_dropout_mask(DropoutStream(s.key), s.dropout, 0, static_cast<std::int64_t>(dx.size()), mask.data());
      for (std::size_t i = 0; i < dx.size(); ++i) {
        const std::size_t token = static_cast<std::size_t>(tokens[i / hidden]) * hidden + i % hidden;
        const std::size_t place =
            (static_cast<std::size_t>(s.first_position) + i / hidden % static_cast<std::size_t>(s.sequence)) * hidden +
            i % hidden;
        x[i] = (s.scale * table[token] + (with_positions ? places[place] : 0)) * mask[i];
        dtable[token] += s.scale * dx[i] * mask[i];
        if (with_positions) dplaces[place] += dx[i] * mask[i];
      }
      const auto check = [&](auto zero) {
        using T = decltype(zero);
        auto typed = converted<T>(table), typed_places = converted<T>(places);
        const auto gradient = converted<T>(dx);
        std::vector<T> out(dx.size());
        embedding_forward(context, s, tokens.data(), typed.data(), with_positions ? typed_places.data() : nullptr,
                          out.data());
        CHECK(distance(out, x) < rounding<T>(4));
        embedding_backward(context, s, tokens.data(), gradient.data(), typed.data(),
                           with_positions ? typed_places.data() : nullptr);
        const auto repeats = static_cast<std::int64_t>(tokens.size());
        CHECK(distance(typed, dtable) < rounding<T>(repeats + 4));
        CHECK(distance(typed_places, dplaces) < rounding<T>(s.batch + 4));
        embedding_backward<T>(context, s, tokens.data(), gradient.data(), nullptr, nullptr);  // both frozen
      };
      check(0.0);
      check(0.0F);
    }
  }
}

TEST_CASE("the embedding's gradient has the same bits on any number of threads", "[engine][embedding]") {
  const EmbeddingShape& s = shapes.back();
  const auto tokens = tokens_of(s);
  const auto dx = random_values<float>(static_cast<std::int64_t>(tokens.size()) * s.hidden, 3);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    Team team(threads);
    Context context = team.context();
    std::vector<float> gradient(static_cast<std::size_t>(vocabulary * s.hidden));
    embedding_backward<float>(context, s, tokens.data(), dx.data(), gradient.data(), nullptr);
    results.push_back(gradient);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

}  // namespace dtcalc::cpu::test
