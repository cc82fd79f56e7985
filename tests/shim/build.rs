//! Compiles every kernel file and the shim into one C++ unit, with a table of kernels made from the files themselves.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Kernel files of a folder, sorted, and the kernels each defines: `extern "C" __global__` and the name on the next line.
fn kernels(folder: &Path) -> Vec<(PathBuf, Vec<String>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of kernels")
        .map(|entry| entry.expect("an entry of the folder of kernels").path())
        .filter(|path| path.extension().is_some_and(|e| e == "cu"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let text = std::fs::read_to_string(&file).expect("a kernel file");
            let mut names = Vec::new();
            let mut after_global = false;
            for line in text.lines() {
                if after_global {
                    names.push(line.split('(').next().expect("a name").trim().to_owned());
                }
                after_global = line.starts_with("extern \"C\" __global__");
            }
            assert!(!names.is_empty(), "{} defines no kernel", file.display());
            (file, names)
        })
        .collect()
}

/// The stand-in libcuda.so.1, libcublas.so.13, libcublasLt.so.13, libcudnn.so.9 and libnccl.so.2, found by the tests through `SHIM_DRIVERS`.
fn drivers(here: &Path, kernels: &Path, out: &Path, generated: &Path) {
    let libraries = [
        (
            "libcuda.so.1",
            vec![
                "driver/libcuda.cpp",
                "driver/streams.cpp",
                "driver/graph.cpp",
                "driver/transfers.cpp",
                "driver/memory.cpp",
                "driver/queue.cpp",
                "host/host_cuda.cpp",
            ],
        ),
        ("libcublas.so.13", vec!["driver/libcublas.cpp"]),
        ("libcublasLt.so.13", vec!["driver/libcublaslt.cpp"]),
        ("libcudnn.so.9", vec!["driver/libcudnn.cpp"]),
        ("libnccl.so.2", vec!["driver/libnccl.cpp"]),
    ];
    for (name, sources) in libraries {
        let mut build = cc::Build::new();
        build.cpp(true).std("c++17").opt_level(3).warnings(true).warnings_into_errors(true).pic(true);
        build.flag("-ffp-contract=off").flag("-Wno-unknown-pragmas").flag("-Wno-sign-compare");
        build.include(here.join("host")).include(kernels);
        let mut command = build.get_compiler().to_command();
        command.args(sources.iter().map(|source| here.join(source)));
        if name.starts_with("libcuda") {
            command.arg(generated);
        } else {
            command.arg(out.join("libcuda.so.1"));
        }
        command.args(["-shared", "-Wl,-Bsymbolic", &format!("-Wl,-soname,{name}"), "-o"]).arg(out.join(name));
        assert!(command.status().expect("a C++ compiler").success(), "{name} does not build");
    }
    println!("cargo:rustc-env=SHIM_DRIVERS={}", out.display());
    println!("cargo:rerun-if-changed={}", here.join("driver").display());
}

fn main() {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("set by cargo"));
    let folder = here.join("../../kernels").canonicalize().expect("kernels/ at the root");
    let mut unit = String::from("#define ALX_HOST_SHIM\n");
    let mut table = String::new();
    for (file, names) in kernels(&folder).into_iter().chain(kernels(&here.join("host"))) {
        writeln!(unit, "#include {:?}", file.to_str().expect("a UTF-8 path")).expect("a string");
        for name in names {
            writeln!(table, "    alx_trampoline<&{name}>::row({name:?}),").expect("a string");
        }
    }
    write!(
        unit,
        "const AlxKernel alx_kernels[] = {{\n{table}}};\n\
         const size_t alx_kernel_count = sizeof alx_kernels / sizeof alx_kernels[0];\n"
    )
    .expect("a string");
    let generated = out.join("kernels.cpp");
    std::fs::write(&generated, unit).expect("OUT_DIR is writable");

    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).warnings(true).warnings_into_errors(true);
    build.flag("-ffp-contract=off").flag("-Wno-unknown-pragmas").flag("-Wno-sign-compare");
    build.include(here.join("host")).include(&folder).file(&generated).file(here.join("host/host_cuda.cpp"));
    if std::env::var_os("SHIM_SANITIZE").is_some() {
        for flag in [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
            "-fno-omit-frame-pointer",
            "-g",
        ] {
            build.flag(flag);
        }
        // rustc links with -nodefaultlibs, so the sanitizers' libraries have to be named.
        for flag in ["-Wl,--no-as-needed", "-lasan", "-lubsan"] {
            println!("cargo:rustc-link-arg={flag}");
        }
    }
    build.compile("alexnet_shim");
    drivers(&here, &folder, &out, &generated);
    println!("cargo:rerun-if-env-changed=SHIM_SANITIZE");
    println!("cargo:rerun-if-changed={}", folder.display());
    println!("cargo:rerun-if-changed={}", here.join("host").display());
    println!("cargo:rerun-if-changed=build.rs");
}
