"""The commands of `kickstart`, as functions; tyro reads their options from them."""
