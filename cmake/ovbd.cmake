# What all folders share: the warnings, the sanitizers, and the shape of a library.

add_library(ovbd_flags INTERFACE)
target_include_directories(ovbd_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(ovbd_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(
  ovbd_flags
  INTERFACE -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wconversion
            -Wcast-qual
            -Wstrict-prototypes
            -Wmissing-prototypes
            -Wswitch-enum
            -Wvla
            -Wundef
            -Wformat=2
            -Wno-missing-field-initializers
            $<$<BOOL:${OVBD_WERROR}>:-Werror>
            -fvisibility=hidden
            -fstack-protector-strong
            -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.)
if(OVBD_SANITIZE)
  target_compile_options(ovbd_flags INTERFACE -fsanitize=${OVBD_SANITIZE} -fno-omit-frame-pointer
                                              -fno-sanitize-recover=all)
  target_link_options(ovbd_flags INTERFACE -fsanitize=${OVBD_SANITIZE})
endif()
if(OVBD_FUZZ) # the libraries tell the fuzzer where it has been
  target_compile_options(ovbd_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# While developing, hundreds of programs are linked: with the linker of binutils that needs a third of the time.
find_program(GOLD ld.gold)
if(GOLD AND NOT OVBD_FUZZ AND CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_link_options(ovbd_flags INTERFACE -fuse-ld=gold)
endif()

# ovbd_library(NAME SOURCES a.c b.c DEPS ovbd_base PKGS liblz4): the static library ovbd_NAME of a
# folder. DEPS are other folders' libraries, PKGS pkg-config modules (required). -DNDEBUG is not
# wanted: an assertion that does not run protects nobody.
function(ovbd_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PKGS" ${ARGN})
  add_library(ovbd_${name} STATIC ${arg_SOURCES})
  target_link_libraries(ovbd_${name} PUBLIC ovbd_flags ${arg_DEPS})
  foreach(pkg ${arg_PKGS})
    string(MAKE_C_IDENTIFIER "PKG_${pkg}" id)
    pkg_check_modules(${id} REQUIRED IMPORTED_TARGET GLOBAL ${pkg})
    target_link_libraries(ovbd_${name} PUBLIC PkgConfig::${id})
  endforeach()
endfunction()

string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
