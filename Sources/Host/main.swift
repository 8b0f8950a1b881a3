print("acthost")
