"""Operations with several back-ends; the torch reference defines what each one means."""
