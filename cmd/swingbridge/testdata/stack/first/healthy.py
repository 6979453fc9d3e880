from urllib.request import Request, urlopen

urlopen(Request("http://127.0.0.1:8000/health", headers={"Host": "harbor.localhost"}), timeout=5)
