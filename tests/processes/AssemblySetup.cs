// Each test has a broker, a cache and five processes: two clusters at once would only wait for each other on two cores.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
