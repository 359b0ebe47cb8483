static void fine(void)
{
    free(malloc(1));
}
