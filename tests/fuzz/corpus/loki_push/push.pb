
4
{app="shop", env="a\"b"}
€À’Éhi
kv