# Read by CTest when it starts, once per test program: registers each TEST_CASE of `program` as "folder: name".
# Tags become labels and properties as support/catch.hpp says. Given: program, folder, catch2 (version).
cmake_policy(VERSION 3.25)

if(NOT EXISTS "${program}")
  add_test("${folder}: not built" "${program}")
  return()
endif()
if(catch2 VERSION_LESS 3)
  set(list --list-test-names-only) # exits with the number of tests
else()
  set(list --list-tests --verbosity quiet)
endif()

# Sets `variable` to the names of the tests that match a Catch2 specification.
function(tests_matching specification variable)
  execute_process(COMMAND "${program}" ${list} "${specification}" OUTPUT_VARIABLE names RESULT_VARIABLE status
                  ERROR_VARIABLE problem)
  if(problem OR NOT status MATCHES "^[0-9]+$")
    message(FATAL_ERROR "${program} cannot list its tests: ${status} ${problem}")
  endif()
  string(REPLACE ";" "<semicolon>" names "${names}") # it separates the elements of a list
  string(REGEX REPLACE " *\n *" ";" names "${names}")
  list(REMOVE_ITEM names "")
  set(${variable} "${names}" PARENT_SCOPE)
endfunction()

tests_matching("~[.]" all)
tests_matching("[long]~[.]" long)
tests_matching("[slow]~[.]" slow)
tests_matching("[alone]~[.]" alone)
foreach(item IN LISTS all)
  string(REPLACE "<semicolon>" ";" name "${item}")
  if(name MATCHES "^-")
    message(FATAL_ERROR "${program}: the test '${name}' would be taken for an option; let its name begin otherwise")
  endif()
  string(REGEX REPLACE "([][,\\*\"])" "\\\\\\1" pattern "${name}")
  set(labels "${folder}")
  foreach(tag long slow)
    if(item IN_LIST ${tag})
      list(APPEND labels ${tag})
    endif()
  endforeach()
  set(serial FALSE)
  if(item IN_LIST alone)
    set(serial TRUE)
  endif()
  add_test("${folder}: ${name}" "${program}" "${pattern}")
  set_tests_properties("${folder}: ${name}" PROPERTIES
    LABELS "${labels}" RUN_SERIAL ${serial} SKIP_REGULAR_EXPRESSION "\nskipped: ")
endforeach()
