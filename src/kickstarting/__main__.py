from kickstarting.cli import main

main()
