// Tables and wrapped text as the reports print them.
#include "costmodel/report/table.hpp"

#include "support/catch.hpp"

using namespace dtcalc::report;

TEST_CASE("a table is aligned by the characters seen, without spaces at line ends", "[report]") {
  const Table table{{{"name"}, {"bytes", Align::right}, {"note"}}, {{"größe", "7", ""}, {"a", "1024", "x y"}}};
  CHECK(text(table, 1) ==
        " name   bytes  note\n"
        " größe      7\n"
        " a       1024  x y\n");
  CHECK(text({{{""}, {""}}, {{"a", "b"}}}) == "a  b\n");  // no titles, no line for them
}

TEST_CASE("CSV quotes what it must", "[report]") {
  const Table table{{{"a"}, {"b,c"}}, {{"say \"no\"", "two\nlines"}, {"", "plain"}}};
  CHECK(csv(table) == "a,\"b,c\"\n\"say \"\"no\"\"\",\"two\nlines\"\n,plain\n");
}

TEST_CASE("text is wrapped at spaces only", "[report]") {
  CHECK(wrapped("one two three", 7, 2) == "one two\n  three");
  CHECK(wrapped("one two three", 80, 2) == "one two three");
  CHECK(wrapped("a longerthanthat b", 8, 0) == "a\nlongerthanthat\nb");
  CHECK(wrapped("", 8) == "");
}
