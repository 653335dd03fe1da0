import time
from tests.subgraphs.products.test_search import *  # noqa
async def test_all(shelf):
    began=time.perf_counter()
    found=await shelf.search(nutrientIds=["x"]*10, nutrientAmounts=[{"nutrientId":"x","min":"1"}]*10, attributes=[{"name":"form","values":["capsule"]*100}]*10)
    print("TOOK", time.perf_counter()-began, found["totalCount"])
