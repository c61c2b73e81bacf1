/* Ends with success before anything was asked of it. */
int main(void)
{
    return 0;
}
