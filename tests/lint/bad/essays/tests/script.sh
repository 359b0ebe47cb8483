echo no licence
