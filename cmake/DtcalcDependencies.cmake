# Everything comes from the distribution's packages; `./dev` installs them. CUDA and Qt are optional and found by themselves.
include_guard(GLOBAL)
find_package(Threads REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(fmt 9 REQUIRED)
