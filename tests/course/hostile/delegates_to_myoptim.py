import myoptim


class SGD(myoptim.SGD):
    pass
