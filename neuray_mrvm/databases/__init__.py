"""The data sets that NeuRay reads, one class a layout, all with the interface of `database.Database`."""
