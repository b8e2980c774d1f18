use atomic_streams::Persistable;

// Structs of a function, of a generic module and behind another name of the crate.
mod prelude {
    pub use atomic_streams as streams;
}

fn run<H: Persistable>(_: H) {}

fn main() {
    const START: u64 = 3;

    #[derive(Persistable)]
    struct Local {
        #[persist(default = START)]
        count: u64,
    }
    run(Local { count: 0 });

    #[derive(prelude::streams::Persistable)]
    #[persist(crate = crate::prelude::streams)]
    struct Renamed<T: ?Sized> {
        of: std::marker::PhantomData<T>,
    }
    run(Renamed::<str> { of: std::marker::PhantomData });
}
