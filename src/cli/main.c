/* The command: dispatch to one file per verb. */
int main(void) {
  return 2;
}
